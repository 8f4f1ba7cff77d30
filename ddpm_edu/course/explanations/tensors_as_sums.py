"""Wrong tensors as sums of the arguments and of what the course's solution makes on its way."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpm_edu.course.explanations.calls import Arguments, Function, outcome
from ddpm_edu.course.explanations.suspicions import Pairs, Suspicion

Names = dict[str, Any]


def as_sums(
    correct: Function, pairs: Pairs, cases: Sequence[Arguments], seconds: float
) -> Iterator[Suspicion]:
    """Whether the answers are such a sum, and with which factors, by name.

    Args:
        correct: the right function; what it names on its way may stand in the sum.
        pairs: the student's answers and the right ones, of one shape and at least two axes.
        cases: the arguments of the calls.
        seconds: of computing, after which the search is given up.
    """
    until = time.process_time() + seconds
    rows = [_parts(correct, case, right) for case, (_, right) in zip(cases, pairs, strict=True)]
    names = [name for name in rows[0][0] if all(name in tensors for tensors, _ in rows)]
    scalars = [name for name in rows[0][1] if all(name in numbers for _, numbers in rows)]
    known = _factors({name: np.concatenate([numbers[name] for _, numbers in rows]) for name in scalars})
    for count in (1, 2, 3):
        for chosen in itertools.combinations(names, count):
            if time.process_time() > until:
                return
            factors = _fitted(chosen, [tensors for tensors, _ in rows], [a for a, _ in pairs])
            if factors is None:
                continue
            said = [_named(factors[:, i], known) for i in range(count)]
            if all(said):
                text = " + ".join(
                    f"`{name}`" if factor == "1" else f"{factor} * `{name}`"
                    for name, factor in zip(chosen, said, strict=True)
                ).replace("+ -", "- ")
                yield Suspicion(
                    f"Your answer is {text}, where the names are those of the course's solution.",
                    "Go through the formula term by term: which factor, or which term, is another there?",
                )


def _parts(correct: Function, case: Arguments, right: Tensor) -> tuple[dict[str, Tensor], Names]:
    """The tensors of the answer's shape, and the numbers, each for every sample: (B,) arrays."""
    tensors: dict[str, Tensor] = {}
    numbers: Names = {}
    for name, value in {**case, **_locals(correct, case)}.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, Tensor) and value.is_floating_point() and value.shape == right.shape:
            tensors[name] = value.double()
        elif isinstance(value, Tensor) and value.numel() == len(right) and value.is_floating_point():
            numbers[name] = value.double().flatten().numpy()
        elif isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1):
            numbers[name] = np.full(len(right), float(value))
    return tensors, numbers


def _locals(function: Function, case: Arguments) -> Names:
    """What a function has named when it returns."""
    code, found = getattr(function, "__code__", None), {}

    def note(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and frame.f_code is code:
            found.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        outcome(function, case, quiet=True)
    finally:
        sys.setprofile(before)
    return found


def _fitted(
    chosen: Sequence[str], tensors: Sequence[dict[str, Tensor]], answers: Sequence[Tensor]
) -> np.ndarray | None:
    """The factors (samples, chosen) with which those tensors add up to the answers; None if they do not."""
    found = []
    for named, answer in zip(tensors, answers, strict=True):
        for row in range(len(answer)):
            columns = torch.stack([named[name][row].flatten() for name in chosen], dim=1)
            entries = answer[row].detach().double().flatten()
            if len(columns) < 2 * len(chosen) + 1 or not torch.isfinite(entries).all():
                return None
            if int(torch.linalg.matrix_rank(columns)) < len(chosen):
                return None
            factors = torch.linalg.lstsq(columns, entries[:, None]).solution[:, 0]
            if not torch.allclose(columns @ factors, entries, atol=1e-4, rtol=1e-4):
                return None
            found.append(factors.numpy())
    return np.stack(found)


_UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "{}": lambda x: x,
    "sqrt({})": np.sqrt,
    "(1 - {})": lambda x: 1 - x,
    "sqrt(1 - {})": lambda x: np.sqrt(1 - x),
    "{}²": np.square,
    "1 / {}": lambda x: 1 / x,
    "1 / sqrt({})": lambda x: 1 / np.sqrt(x),
    "1 / (1 - {})": lambda x: 1 / (1 - x),
    "1 / sqrt(1 - {})": lambda x: 1 / np.sqrt(1 - x),
    "(1 + {})": lambda x: 1 + x,
}


def _factors(numbers: Names) -> dict[str, np.ndarray]:
    """What a factor may be, by its name: constants, a form of a number, the product of two forms."""
    count = len(next(iter(numbers.values()))) if numbers else 1
    found = {text: np.full(count, value) for text, value in (("1", 1.0), ("2", 2.0), ("1/2", 0.5))}
    with np.errstate(all="ignore"):
        ones = {
            form.format(f"`{name}`"): change(values)
            for name, values in numbers.items()
            for form, change in _UNARY.items()
            if len(set(values)) > 1
        }
        found |= ones
        for (a, x), (b, y) in itertools.combinations(ones.items(), 2):
            joined = f"{a} / {b.removeprefix('1 / ')}" if b.startswith("1 / ") else f"{a} * {b}"
            found.setdefault(joined, x * y)
    return {text: values for text, values in found.items() if np.isfinite(values).all()}


def _named(factors: np.ndarray, known: dict[str, np.ndarray]) -> str:
    """The name of factors; empty if they are none of those that are known."""
    for sign, minus in ((1, ""), (-1, "-")):
        for text, values in known.items():
            if len(values) in (1, len(factors)) and np.allclose(sign * values, factors, atol=2e-4, rtol=2e-4):
                return f"{minus}{text}"
    return ""
