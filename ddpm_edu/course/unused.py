"""What a student's function makes of its arguments: whether each matters, and whether two are exchanged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.answers import as_wanted
from ddpm_edu.course.calls import Arguments, Fresh, Function, globals_read, outcome
from ddpm_edu.course.suspicions import NOT_DEFINED, Suspicion, close


def about_arguments(
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    answers: Sequence[Any],
    tolerance: float,
) -> Iterator[Suspicion]:
    """Arguments that do not matter, and two that are exchanged."""
    for first, second in itertools.combinations(cases[0], 2):
        if all(_alike(case[first], case[second]) for case in cases) and _gives(
            correct,
            lambda case, a=first, b=second: {**case, a: case[b], b: case[a]},
            cases,
            answers,
            tolerance,
        ):
            yield Suspicion(f"It takes `{first}` for `{second}`, and the other way round.", "Which is which?")
    finite = all(bool(torch.isfinite(part).all()) for answer in answers for part in _parts(answer))
    for name in cases[0] if finite else ():
        if not _matters(function, name, cases, answers, tolerance) and _matters(
            correct, name, cases, expected, tolerance
        ):
            others = [other for other in globals_read(function) if other != name]
            reads = f"It reads `{others[0]}` from the notebook instead." if others else ""
            yield Suspicion(
                f"Your function does not use `{name}`: the answer stays the same. {reads}".strip(),
                f"The right answer depends on `{name}`. Does it read a name from another cell?",
            )


def misread_arguments(
    correct: Function, cases: Sequence[Arguments], answers: Sequence[Any], tolerance: float
) -> Iterator[Suspicion]:
    """Arguments that are taken for something else: their square, their inverse, the one before."""
    for name in cases[0]:
        for what, change, fits in _MISREADINGS:
            if all(fits(case[name]) for case in cases) and _gives(
                correct,
                lambda case, name=name, change=change: {**case, name: change(case[name])},
                cases,
                answers,
                tolerance,
            ):
                yield Suspicion(f"Your answers are right for {what.format(f'`{name}`')}, not for `{name}`.")


def _gives(
    correct: Function,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    cases: Sequence[Arguments],
    answers: Sequence[Any],
    tolerance: float,
) -> bool:
    """Whether the right function gives the student's answers, if its arguments are changed so."""
    for case, answer in zip(cases, answers, strict=True):
        try:
            other = outcome(correct, change(dict(case)), quiet=True)
        except NOT_DEFINED:
            return False
        if not _same(as_wanted(other, answer), answer, tolerance):
            return False
    return True


def _parts(answer: Any) -> tuple[Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.ndim == b.ndim
    return type(a) is type(b) and isinstance(a, int | float)


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b, [tolerance] * len(a)))
    return isinstance(a, Tensor) and isinstance(b, Tensor) and close(a.detach(), b.detach(), tolerance)


def _matters(
    function: Function, name: str, cases: Sequence[Arguments], answers: Sequence[Any], tolerance: float
) -> bool:
    """Whether an answer changes with this argument."""
    for case, answer in zip(cases, answers, strict=True):
        for other in _others(case[name], [one[name] for one in cases]):
            changed = outcome(function, {**case, name: other}, quiet=True)
            if not _same(as_wanted(changed, answer), answer, 1e-3 * tolerance):
                return True
    return False


def _others(value: Any, known: Sequence[Any]) -> Iterator[Any]:
    """Other values that the argument might have."""
    if isinstance(value, Tensor):
        if value.dtype == torch.bool:
            yield ~value
        elif value.is_floating_point():
            yield 0.7 * value + 0.05
        elif value.dtype == torch.uint8:
            yield 255 - value
        else:
            yield value.flip(0) if value.ndim else value
        if value.is_floating_point() and value.ndim:
            yield -value.flip(-1)
            yield value.flip(0)
        yield from (one for one in known if one.shape == value.shape and not torch.equal(one, value))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float | list):
        yield from (one for one in known if one != value)
    elif isinstance(value, Fresh):
        return
    elif callable(value):
        yield lambda *arguments: _shifted(value(*arguments))


def _shifted(answer: Any) -> Any:
    return 0.6 * answer + 0.1 if isinstance(answer, Tensor) and answer.is_floating_point() else answer


def _first(value: Any) -> Any:
    return value[:1].expand_as(value)


def _has_axes(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool


def _is_float(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Tensor) and not _is_mask(value) and not isinstance(value, bool)


_MISREADINGS: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], bool]], ...] = (
    ("the square of {}", lambda x: x * x, _is_float),
    ("the root of {}", lambda x: x**0.5, _is_float),
    ("{} with the opposite sign", lambda x: -x, _is_float),
    ("1 - {}", lambda x: 1 - x, _is_float),
    ("1 / {}", lambda x: 1 / x, _is_float),
    ("{} + 1", lambda x: x + 1, _is_number),
    ("{} - 1", lambda x: x - 1, _is_number),
    ("twice {}", lambda x: 2 * x, _is_number),
    ("half of {}", lambda x: x / 2, _is_float),
    ("{} turned round (flip)", lambda x: x.flip(0), _has_axes),
    ("{} turned round along its second axis", lambda x: x.flip(1), _has_axes),
    ("{} with its last axis turned round", lambda x: x.flip(-1), _has_axes),
    ("{} moved on by one", lambda x: x.roll(1, 0), _has_axes),
    ("{} moved back by one", lambda x: x.roll(-1, 0), _has_axes),
    ("{} moved on by one along its second axis", lambda x: x.roll(1, 1), _has_axes),
    ("{} moved back by one along its second axis", lambda x: x.roll(-1, 1), _has_axes),
    ("{} with its last two axes exchanged", lambda x: x.mT, _has_axes),
    ("{} with its first two axes exchanged", lambda x: x.transpose(0, 1), _has_axes),
    ("the inverse mask ~{}", lambda x: ~x, _is_mask),
    ("the first entry of {} for all", _first, _has_axes),
    ("the last entry of {} for all", lambda x: x[-1:].expand_as(x), _has_axes),
    ("{} without its first entry", lambda x: x[1:], _has_axes),
    ("{} without its last entry", lambda x: x[:-1], _has_axes),
    ("{} without its first step (axis 1)", lambda x: x[:, 1:], _has_axes),
    ("{} without its last step (axis 1)", lambda x: x[:, :-1], _has_axes),
    ("the product of all {} so far", lambda x: x.cumprod(0), _is_float),
    ("the sum of all {} so far", lambda x: x.cumsum(0), _is_float),
    ("zeros in the place of {}", torch.zeros_like, _has_axes),
    ("ones in the place of {}", torch.ones_like, _is_float),
    ("the mean of {} for all", lambda x: x.mean(0, keepdim=True).expand_as(x), _is_float),
    ("the sizes of {} (without sign)", abs, _is_float),
    ("{} limited to [-1, 1]", lambda x: x.clamp(-1, 1), _is_float),
    ("{} limited to [0, 1]", lambda x: x.clamp(0, 1), _is_float),
    ("{} in order", lambda x: x.sort(0).values, _has_axes),
    ("{} rounded", lambda x: round(x) if isinstance(x, float) else x.round(), _is_float),
)
