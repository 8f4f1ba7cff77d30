"""Saying with which arguments, and where in an answer, something is wrong: in the student's terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpm_edu.course.explanations.calls import Arguments, Fresh


def shown(case: Arguments, numbers_first: bool = False) -> str:
    """The arguments of a call: numbers as they are, tensors by their shapes.

    Args:
        case: the arguments by name.
        numbers_first: only the plain numbers, where there are any: they tell calls apart.
    """
    numbers = {name: value for name, value in case.items() if isinstance(value, int | float | list)}
    return ", ".join(
        f"{name} {_shown(value)}" for name, value in ((numbers_first and numbers) or case).items()
    )


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)}" if value.ndim else value_of(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, torch.nn.Module):
        return f"({type(value).__name__})"
    if isinstance(value, Fresh) or callable(value):
        return "(a function)"
    return str(value) if isinstance(value, int | list) else f"({type(value).__name__})"


def value_of(entry: Tensor) -> str:
    """One entry, as a student would print it."""
    value = entry.item()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def where_wrong(answer: Any, right: Any) -> str:
    """What is wrong with an answer that nothing explains: its shape, or its entries and where they stand."""
    if isinstance(right, tuple):
        for which, (a, r) in enumerate(zip(answer, right, strict=True)):
            if a.shape != r.shape or not torch.allclose(a.double(), r.double(), atol=1e-4):
                place = ("first", "second", "third", "fourth", "fifth")[which]
                return f"Of your {place} answer: {where_wrong(a, r)}"
    if answer.shape != right.shape:
        return f"It returns the shape {tuple(answer.shape)}; {tuple(right.shape)} is wanted."
    if not torch.isfinite(answer).all() and torch.isfinite(right).all():
        return "Its answer holds values that are not finite (nan or inf)."
    difference = (answer.double() - right.double()).abs()
    difference = torch.where(torch.isnan(difference), torch.inf, difference)
    place = tuple(int(i) for i in np.unravel_index(int(difference.argmax()), tuple(difference.shape)))
    at = f"at {list(place)} it is" if place else "it is"
    mistaken, wanted = value_of(answer[place]), value_of(right[place])
    if answer.dtype == torch.bool:
        start = f"{int((answer != right).sum())} of {right.numel()} entries are wrong"
    else:
        start = f"Its answer is off by up to {difference.max():.3g}"
    return f"{start}{_which_entries(difference)}; {at} {mistaken}, where {wanted} is right."


def indices(places: Iterable[int]) -> str:
    """Indices as a student says them: `no index`, `index 3`, `indices 2 to 5`, `indices 0, 4 and 7`."""
    at = sorted(places)
    if len(at) < 2:
        return f"index {at[0]}" if at else "no index"
    if len(at) > 2 and at == list(range(at[0], at[-1] + 1)):
        return f"indices {at[0]} to {at[-1]}"
    return f"indices {', '.join(map(str, at[:-1]))} and {at[-1]}"


def _which_entries(difference: Tensor) -> str:
    """Where the wrong entries stand, if that can be said in a word."""
    wrong = difference > 1e-4 * (
        1 + float(difference[torch.isfinite(difference)].max() if difference.numel() else 0)
    )
    if bool(wrong.all()) or difference.ndim == 0:
        return ""
    for axis in range(difference.ndim):
        others = [other for other in range(difference.ndim) if other != axis]
        lines = wrong.any(dim=tuple(others)) if others else wrong  # (length of the axis,)
        if difference.shape[axis] > 1 and not bool(lines.all()):
            rows = [int(i) for i in lines.nonzero().flatten()]
            return f", only at {indices(rows)} of axis {axis}"
    return f", in {int(wrong.sum())} of {wrong.numel()} entries"


def shortened(case: Arguments, letters: Mapping[str, Sequence[str]], letter: str, length: int) -> Arguments:
    """The arguments with no more than the first entries along the axis of that letter."""
    return {name: _first_of(value, letters.get(name, ()), letter, length) for name, value in case.items()}


def _first_of(value: Any, axes: Sequence[str], letter: str, length: int) -> Any:
    if not isinstance(value, Tensor) or len(axes) != value.ndim:
        return value
    for axis, one in enumerate(axes):
        if one == letter:
            value = value.narrow(axis, 0, min(length, value.shape[axis]))
    return value.clone()
