"""What a student's function makes of its arguments: whether each matters, and whether two are exchanged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import as_wanted, parts_of
from ddpm_edu.course.explanations.calls import (
    MOMENT,
    Arguments,
    Fresh,
    Function,
    globals_read,
    is_read,
    outcome,
)
from ddpm_edu.course.explanations.misreadings import MISREADINGS, NEEDED, OF_TWO, OF_VALUES
from ddpm_edu.course.explanations.refusals import same
from ddpm_edu.course.explanations.suspicions import NOT_DEFINED, Suspicion


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
    for name in _idle(function, correct, cases, expected, answers, tolerance):
        if not is_read(function, list(cases[0]).index(name)):
            others = [other for other in globals_read(function) if other != name]
            reads = f"It reads `{others[0]}` from the notebook instead." if others else ""
            yield Suspicion(
                f"Your function does not use `{name}`: the answer stays the same. {reads}".strip(),
                f"The right answer depends on `{name}`. Does it read a name from another cell?",
            )


def _idle(
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    answers: Sequence[Any],
    tolerance: float,
) -> Iterator[str]:
    """Arguments on which the right answer depends, and the student's does not."""
    if not all(bool(torch.isfinite(part).all()) for answer in answers for part in parts_of(answer)):
        return  # nan stays nan whatever an argument is
    for name in cases[0]:
        if not _matters(function, name, cases, answers, tolerance) and _matters(
            correct, name, cases, expected, tolerance
        ):
            yield name


def without_effect(
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    answers: Sequence[Any],
    tolerance: float,
) -> Iterator[Suspicion]:
    """Arguments that the function reads, and that change nothing."""
    for name in _idle(function, correct, cases, expected, answers, tolerance):
        yield Suspicion(
            f"Your function reads `{name}`, but the answer stays the same whatever it is.",
            f"Where does `{name}` get lost: by rounding, by a limit, by a 0?",
        )


def needed_arguments(
    function: Function, cases: Sequence[Arguments], expected: Sequence[Any], tolerance: float
) -> Iterator[Suspicion]:
    """Arguments with which the function would be right, were they handed over changed."""
    for name in cases[0]:
        for what, change, fits in (*NEEDED, *OF_VALUES):
            if all(fits(case[name]) for case in cases) and _gives(
                function,
                lambda case, name=name, change=change: {**case, name: change(case[name])},
                cases,
                expected,
                tolerance,
            ):
                other = what.format(f"`{name}`")
                yield Suspicion(
                    f"Your function would be right if it took {other} in place of `{name}`.",
                    "Where does that belong, and in which line?",
                )


def misread_arguments(
    correct: Function, cases: Sequence[Arguments], answers: Sequence[Any], tolerance: float
) -> Iterator[Suspicion]:
    """Arguments that are taken for something else: their square, their inverse, the one before."""
    for name in cases[0]:
        for what, change, fits in MISREADINGS:
            if all(fits(case[name]) for case in cases) and _gives(
                correct,
                lambda case, name=name, change=change: {**case, name: change(case[name])},
                cases,
                answers,
                tolerance,
            ):
                yield Suspicion(f"Your answers are right for {what.format(f'`{name}`')}, not for `{name}`.")
    whole = [name for name in cases[0] if all(type(case[name]) is int for case in cases)]
    for a, b in itertools.permutations(whole, 2):
        for form, join in OF_TWO.items():
            if _gives(
                correct,
                lambda case, a=a, b=b, join=join: {**case, a: join(case[a], case[b])},
                cases,
                answers,
                tolerance,
            ):
                what = form.format(f"`{a}`", f"`{b}`")
                yield Suspicion(f"Your answers are right for {what}, not for `{a}`.")


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
            other = outcome(correct, change(dict(case)), quiet=True, seconds=MOMENT)
        except NOT_DEFINED:
            return False
        if not same(as_wanted(other, answer), answer, tolerance):
            return False
    return True


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.ndim == b.ndim
    return type(a) is type(b) and isinstance(a, int | float)


def _matters(
    function: Function, name: str, cases: Sequence[Arguments], answers: Sequence[Any], tolerance: float
) -> bool:
    """Whether an answer changes with this argument."""
    for case, answer in zip(cases, answers, strict=True):
        for other in _others(case[name], [one[name] for one in cases]):
            changed = outcome(function, {**case, name: other}, quiet=True, seconds=MOMENT)
            if not same(as_wanted(changed, answer), answer, 1e-3 * tolerance):
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
    elif isinstance(value, list):
        if any(isinstance(part, Tensor) for part in value):
            yield [next(_others(part, []), part) for part in value]
        yield from (one for one in known if not _equal(one, value))
    elif isinstance(value, int | float):
        yield from (one for one in known if one != value)
    elif isinstance(value, Fresh):
        return
    elif callable(value):
        yield lambda *arguments: _shifted(value(*arguments))


def _equal(a: Any, b: Any) -> bool:
    """As `==`, which has no truth for lists of tensors."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b)
    return bool(a == b)


def _shifted(answer: Any) -> Any:
    return 0.6 * answer + 0.1 if isinstance(answer, Tensor) and answer.is_floating_point() else answer
