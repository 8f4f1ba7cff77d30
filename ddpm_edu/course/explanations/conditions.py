"""Under which circumstances a wrong answer is right: with what arguments, and in which of its entries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import as_wanted, of_equal_shape, parts_of
from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, attempt
from ddpm_edu.course.explanations.places import shortened
from ddpm_edu.course.explanations.refusals import same
from ddpm_edu.course.explanations.suspicions import NOT_DEFINED

Condition = tuple[str, Callable[[Arguments], Arguments | None]]
"""A circumstance, to follow "It is right where"; and how a call is brought into it (None: it cannot be)."""


def right_where(
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    wrong: Sequence[int],
    letters: Mapping[str, Sequence[str]],
    tolerance: float,
    seconds: float,
) -> str:
    """The first circumstance in which all calls that are wrong become right; empty if none is found.

    Args:
        function: the student's.
        correct: the right one.
        cases: the arguments of the calls.
        wrong: the calls that are wrong.
        letters: the axes of arguments by name.
        tolerance: of values.
        seconds: of computing, after which no more is tried.
    """
    until = time.process_time() + seconds
    for text, change in _conditions(cases, letters):
        if time.process_time() > until:
            return ""
        rights = []
        for i in wrong:
            found = _in_it(function, correct, cases[i], change, tolerance)
            if found is False:
                break
            rights += [] if found is True else [found]
        else:
            if _says_something(rights):
                return text
    return ""


def _in_it(
    function: Function,
    correct: Function,
    case: Arguments,
    change: Callable[[Arguments], Arguments | None],
    tolerance: float,
) -> Any:
    """The right answer in that circumstance; False if the student's is another; True if there is none."""
    try:
        other = change(case)
    except NOT_DEFINED:
        return True
    right = attempt(correct, other, seconds=MOMENT) if other is not None else None
    if not isinstance(right, Tensor | tuple):
        return True
    if not all(bool(torch.isfinite(part.double()).all()) for part in parts_of(right)):
        return True
    answer = as_wanted(attempt(function, other, seconds=MOMENT), right)
    return right if same(answer, right, tolerance) else False


def _says_something(rights: Sequence[Any]) -> bool:
    """Whether being right there is more than an accident: the right answers hold unlike numbers."""
    entries = [part.detach().double().flatten() for right in rights for part in parts_of(right)]
    return bool(entries) and torch.cat(entries).unique().numel() > (2 if len(rights) > 1 else 1)


def _conditions(cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]]) -> Iterator[Condition]:
    """The weaker before the stronger."""
    kinds = {name: value for name, value in cases[0].items() if isinstance(value, Tensor) and value.ndim}
    floats = [name for name, value in kinds.items() if value.is_floating_point()]
    known = {name: letters[name] for name, value in kinds.items() if len(letters.get(name, ())) == value.ndim}
    for name in floats:
        yield f"`{name}` lies within [-1, 1]", _to(name, _within)
        yield (
            f"nothing in `{name}` is negative",
            _to(name, _sizes),
        )
    every = list(dict.fromkeys(letter for axes in known.values() for letter in axes if letter[0].isalpha()))
    for letter in every:
        yield f"{letter} is 1", _cut(letter, known)
    for name, axes in known.items():
        for axis, letter in enumerate(axes):
            yield f"`{name}` is the same all along {letter}", _to(name, _alike(axis))
    for name, value in kinds.items():
        if value.dtype == torch.bool:
            yield f"`{name}` is False everywhere", _to(name, torch.zeros_like)
            yield f"`{name}` is True everywhere", _to(name, torch.ones_like)
        elif not value.is_floating_point() and value.dtype != torch.uint8:
            yield f"all of `{name}` is 0", _to(name, torch.zeros_like)
    for name, value in cases[0].items():
        if isinstance(value, list):
            yield f"`{name}` has one entry", _to(name, lambda x: x[:1] if len(x) > 1 else None)
            yield f"`{name}` is in order", _to(name, lambda x: sorted(x) if sorted(x) != x else None)
            yield f"the entries of `{name}` are alike", _to(name, lambda x: x[:1] * len(x))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            for number in (1, 0):
                yield f"`{name}` is {number}", _to(name, lambda x, n=number: type(x)(n) if x != n else None)
    for name in floats:
        if letters.get(name, ())[:1] != letters.get("", [""])[:1]:
            continue  # a schedule of zeros is none
        yield f"`{name}` is 1 everywhere", _to(name, torch.ones_like)
        yield f"`{name}` is 0 everywhere", _to(name, torch.zeros_like)


def _to(name: str, change: Callable[[Any], Any]) -> Callable[[Arguments], Arguments | None]:
    def changed(case: Arguments) -> Arguments | None:
        value = change(case[name])
        return None if value is None else {**case, name: value}

    return changed


def _sizes(x: Tensor) -> Tensor | None:
    return x.abs() if bool((x < 0).any()) else None


def _within(x: Tensor) -> Tensor | None:
    most = x.abs().max()
    return x / (1.02 * most) if float(most) > 1 else None


def _alike(axis: int) -> Callable[[Tensor], Tensor | None]:
    return lambda x: x.narrow(axis, 0, 1).expand_as(x).clone() if x.shape[axis] > 1 else None


def _cut(letter: str, known: Mapping[str, Sequence[str]]) -> Callable[..., Arguments | None]:
    def cut(case: Arguments) -> Arguments | None:
        made = shortened(case, known, letter, 1)
        return made if any(made[name].shape != case[name].shape for name in known) else None

    return cut


# ------------------------------------------------------------------------------------------------
# which entries of the answer
# ------------------------------------------------------------------------------------------------


def wrong_just_where(
    cases: Sequence[Arguments],
    answers: Sequence[Any],
    expected: Sequence[Any],
    letters: Mapping[str, Sequence[str]],
) -> str:
    """What an argument, or the right answer, is at the wrong entries and at no others; empty if nothing."""
    if not all(of_equal_shape(a, r) and r.ndim for a, r in zip(answers, expected, strict=True)):
        return ""
    off = [
        ~torch.isclose(a.detach().double(), r.detach().double(), atol=1e-4, rtol=1e-4, equal_nan=True)
        for a, r in zip(answers, expected, strict=True)
    ]
    wrong = torch.cat([one.flatten() for one in off])
    if not bool(wrong.any()) or bool(wrong.all()):
        return ""
    values = {"the right answer": list(expected)}
    for name in cases[0]:
        axes = letters.get(name, ())
        spread = [_spread(case[name], axes, r, letters) for case, r in zip(cases, expected, strict=True)]
        if all(one is not None for one in spread):
            values[f"`{name}`"] = spread
    for name, tensors in values.items():
        joined = torch.cat([one.detach().flatten() for one in tensors])
        for text, rule in _RULES.items():
            try:
                there = rule(joined)
            except NOT_DEFINED:
                continue
            if torch.equal(there, wrong):
                return text.format(name)
    return ""


_RULES: dict[str, Callable[[Tensor], Tensor]] = {
    "{} is True": lambda x: x if x.dtype == torch.bool else x > torch.inf,
    "{} is False": lambda x: ~x if x.dtype == torch.bool else x > torch.inf,
    "{} is negative": lambda x: x < 0,
    "{} is above 0": lambda x: x > 0,
    "{} is 0": lambda x: x == 0,
    "{} is not 0": lambda x: x != 0,
    "{} is above 1": lambda x: x > 1,
    "{} lies outside [-1, 1]": lambda x: x.abs() > 1,
    "{} lies within [-1, 1]": lambda x: x.abs() <= 1,
}


def _spread(
    value: Any, axes: Sequence[str], right: Tensor, letters: Mapping[str, Sequence[str]]
) -> Tensor | None:
    """An argument's entries at the places of the answer's; None if they do not belong to them."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return None
    if value.shape == right.shape:
        return value
    wanted = list(letters.get("", ()))
    if len(axes) != value.ndim or len(wanted) != right.ndim or not set(axes) <= set(wanted):
        return None
    at = [wanted.index(axis) for axis in axes]
    if at != sorted(set(at)) or any(value.shape[i] != right.shape[k] for i, k in enumerate(at)):
        return None
    room = [right.shape[k] if k in at else 1 for k in range(right.ndim)]
    return value.reshape(room).expand_as(right)
