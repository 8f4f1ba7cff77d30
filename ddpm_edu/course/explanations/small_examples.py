"""A call that a student can do by hand: the smallest that is still wrong, and what it gives."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import as_wanted
from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, attempt
from ddpm_edu.course.explanations.places import shortened
from ddpm_edu.course.explanations.refusals import same

MOST = 12
"""So many numbers may all tensors of a call hold together, and so many the answer."""


def small_example(
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    letters: Mapping[str, Sequence[str]],
    tolerance: float,
) -> str:
    """One call as a line of code, what it gives and what it should; empty if none is small enough.

    Axes are cut and numbers are rounded as long as the answer stays wrong.

    Args:
        function: the student's.
        correct: the right one.
        cases: the arguments of calls, some of which are wrong.
        letters: the axes of arguments by name.
        tolerance: of values.
    """
    shown: list[tuple[int, str]] = []
    for case in cases:
        if len(shown) == 4:
            break
        if not all(isinstance(value, Tensor | int | float | list) for value in case.values()):
            continue
        small = _smaller(function, correct, case, letters, tolerance)
        right = attempt(correct, small, seconds=MOMENT)
        answer = as_wanted(attempt(function, small, seconds=MOMENT), right)
        if same(answer, right, tolerance):
            continue
        numbers = sum(value.numel() for value in small.values() if isinstance(value, Tensor))
        if not isinstance(right, Tensor) or max(numbers, right.numel()) > MOST:
            continue
        name = getattr(inspect.unwrap(function), "__name__", "")
        name = name if name.isidentifier() else "your_function"
        call = f"{name}({', '.join(_code(value) for value in small.values())})"
        size = numbers + sum(len(value) for value in small.values() if isinstance(value, list))
        shown.append((size, f"`{call}` gives {_listed(answer)}, where {_listed(right)} is right."))
    return min(shown)[1] if shown else ""


def _smaller(
    function: Function,
    correct: Function,
    case: Arguments,
    letters: Mapping[str, Sequence[str]],
    tolerance: float,
) -> Arguments:
    def is_wrong(other: Arguments) -> bool:
        right = attempt(correct, other, seconds=MOMENT)
        answer = as_wanted(attempt(function, other, seconds=MOMENT), right)
        for one in (right, answer):
            if not isinstance(one, Tensor) or not bool(torch.isfinite(one.double()).all()):
                return False
        return not same(answer, right, tolerance)

    for letter in dict.fromkeys(letter for name in case for letter in letters.get(name, ())):
        for length in (1, 2, 3):
            other = shortened(case, letters, letter, length)
            if is_wrong(other):
                case = other
                break
    for name, value in case.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            for digits in (0, 1, 2):
                other = {**case, name: value.round(decimals=digits)}
                if bool(other[name].abs().sum() > 0) and is_wrong(other):
                    case = other
                    break
    return case


def _code(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    kind = ", dtype=torch.uint8" if value.dtype == torch.uint8 else ""
    return f"torch.tensor({_listed(value)}{kind})"


def _listed(value: Any) -> str:
    """Numbers as Python writes them, with four digits at most."""
    if isinstance(value, Tensor):
        return _listed(value.detach().tolist())
    if isinstance(value, list | tuple):
        return f"[{', '.join(_listed(one) for one in value)}]"
    if isinstance(value, float):
        return f"{value + 0.0:.4g}"  # and no -0
    return str(value) if isinstance(value, int) else type(value).__name__
