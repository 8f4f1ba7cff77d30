"""What a wrong function names on its way that the right one makes too: so far it is right."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, attempt
from ddpm_edu.course.explanations.suspicions import close


def right_so_far(function: Function, correct: Function, cases: Sequence[Arguments], tolerance: float) -> str:
    """A sentence about the variables that have the right values in all calls; empty if there are none.

    Args:
        function: the student's.
        correct: the right one; what the functions of its module name and return counts as right.
        cases: the arguments of calls that are wrong.
        tolerance: of values.
    """
    good: list[str] | None = None
    for case in cases[:3]:
        mine = _made(function, case, of_module=False)
        theirs = [
            value.flatten() for values in _made(correct, case, of_module=True).values() for value in values
        ]
        given = [part for value in case.values() if isinstance(value, Tensor) for part in _parts(value)]
        known = [value for value in theirs if not _among(value, given, tolerance)]
        names = [name for name, values in mine.items() if _among(values[-1].flatten(), known, tolerance)]
        good = names if good is None else [name for name in good if name in names]
    if not good:
        return ""
    said = ", ".join(f"`{name}`" for name in good[:-1]) + (" and " if good[1:] else "") + f"`{good[-1]}`"
    which = "has the right value" if len(good) == 1 else "have the right values"
    return f"On the way, your {said} {which}: look at what comes after."


def _parts(value: Tensor) -> list[Tensor]:
    """An argument, its rows and its entries: to pick them is no step on the way."""
    value = value.double()
    rows = [row.flatten() for row in value] if value.ndim > 1 else []
    return [value.flatten(), *rows, *value.flatten()[:200].unsqueeze(1)]


def _among(value: Tensor, others: Sequence[Tensor], tolerance: float) -> bool:
    return any(close(value, other, tolerance) for other in others)


def _made(function: Function, case: Arguments, of_module: bool) -> dict[str, list[Tensor]]:
    """Tensors and broken numbers that a function, or those of its module too, names or returns."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    found: dict[str, list[Tensor]] = {}

    def note(frame: FrameType, event: str, value: Any) -> None:
        if event != "return" or code is None or frame.f_code.co_filename != code.co_filename:
            return
        if frame.f_code is code or of_module:
            own = frame.f_code.co_varnames[: frame.f_code.co_argcount] if frame.f_code is code else ()
            returned = {"return of a helper": value} if frame.f_code is not code else {}
            for name, one in {**frame.f_locals, **returned}.items():
                if name not in own and _tells(one):
                    found.setdefault(name, []).append(torch.as_tensor(one).detach().double())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        attempt(function, case, seconds=MOMENT)
    finally:
        sys.setprofile(before)
    return found


def _tells(value: Any) -> bool:
    """Whether being equal is no accident: whole numbers and constants often are."""
    if isinstance(value, Tensor):
        return value.is_floating_point() and (value.numel() > 1 or value.ndim == 0) and not _is_whole(value)
    return isinstance(value, float) and value != round(value)


def _is_whole(value: Tensor) -> bool:
    return bool((value == value.round()).all()) if bool(torch.isfinite(value).all()) else True
