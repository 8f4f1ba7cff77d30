"""Two mistakes in one answer: a listed one, and something else that is common.

A check's list holds mistakes one by one. Who makes one of them may also misread an argument, or forget a
root.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import as_wanted
from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, attempt
from ddpm_edu.course.explanations.misreadings import MISREADINGS
from ddpm_edu.course.explanations.refusals import same
from ddpm_edu.course.explanations.suspicions import NOT_DEFINED, VALUES, Suspicion, close


def two_at_once(
    mistakes: Sequence[tuple[str, str, Function]],
    cases: Sequence[Arguments],
    answers: Sequence[Any],
    tolerance: float,
    seconds: float,
) -> Iterator[Suspicion]:
    """Listed mistakes that give the student's answers together with a second one.

    Args:
        mistakes: name, hint and function of each.
        cases: the arguments of the calls.
        answers: the student's; tensors.
        tolerance: of values.
        seconds: of computing, after which the search is given up.
    """
    until = time.process_time() + seconds
    if not all(isinstance(one, Tensor) and torch.isfinite(one).all() for one in answers):
        return
    known = []
    for name, hint, function in mistakes:
        theirs = [
            as_wanted(attempt(function, case, seconds=MOMENT), a)
            for case, a in zip(cases, answers, strict=True)
        ]
        if not any(isinstance(one, BaseException | tuple) for one in theirs):
            known.append((name, hint, function, theirs))
    for name, hint, _, theirs in known:
        for what in (*_then(answers, theirs, tolerance), *_beside(answers, theirs, cases, tolerance)):
            yield Suspicion(f"Your function {name}. And {what}.", hint)
    for name, hint, function, _ in known:
        for argument in cases[0]:
            for what, change, fits in MISREADINGS:
                if time.process_time() > until:
                    return
                if not all(fits(case[argument]) for case in cases):
                    continue
                if all(
                    _gives(function, case, argument, change, a, tolerance)
                    for case, a in zip(cases, answers, strict=True)
                ):
                    of = what.format(f"`{argument}`")
                    said = f"Your function {name}. And it does so for {of}, not for `{argument}`."
                    yield Suspicion(said, hint)


def _gives(
    function: Function,
    case: Arguments,
    name: str,
    change: Callable[[Any], Any],
    answer: Tensor,
    tolerance: float,
) -> bool:
    try:
        other = {**case, name: change(case[name])}
    except NOT_DEFINED:
        return False
    return same(answer, as_wanted(attempt(function, other, seconds=MOMENT), answer), tolerance)


def _then(answers: Sequence[Tensor], theirs: Sequence[Tensor], tolerance: float) -> Iterator[str]:
    """What was done to the numbers of a mistake, for all calls alike."""
    if any(a.shape != t.shape for a, t in zip(answers, theirs, strict=True)):
        return
    pairs = [(a.double(), t.double()) for a, t in zip(answers, theirs, strict=True)]
    if len(torch.cat([t.flatten() for _, t in pairs]).unique()) < 3:
        return
    for what, _, change in VALUES:
        changed = [change(t) for _, t in pairs]
        if all(close(a, c, tolerance) for (a, _), c in zip(pairs, changed, strict=True)):
            yield f"what it returns are {what.replace('the right ones', 'those numbers')}"
    there = torch.cat([t.flatten() for _, t in pairs]).abs() > 1e-6
    ratios = torch.cat([(a / t).flatten() for a, t in pairs])[there]
    factor = float(ratios.median()) if len(ratios) > 3 else 1.0
    if abs(factor - 1) > 1e-3 and all(close(a, factor * t, tolerance) for a, t in pairs):
        yield f"what it returns are those numbers times {factor:.4g}"
    gaps = torch.cat([(a - t).flatten() for a, t in pairs])
    if len(gaps) > 3 and float(gaps.max() - gaps.min()) < tolerance < float(gaps.abs().max()):
        yield f"what it returns are those numbers plus {float(gaps.median()):.4g}"
    for shift, where in ((1, "late"), (-1, "early")):
        moved = [t.roll(shift, 0) if t.ndim else t for _, t in pairs]
        cut = slice(1, None) if shift == 1 else slice(None, -1)
        if all(
            t.ndim and len(t) > 2 and close(a[cut], m[cut], tolerance)
            for (a, t), m in zip(pairs, moved, strict=True)
        ):
            yield f"its numbers stand one place too {where}"


def _beside(
    answers: Sequence[Tensor], theirs: Sequence[Tensor], cases: Sequence[Arguments], tolerance: float
) -> Iterator[str]:
    """Whether an argument was added to the numbers of a mistake, or subtracted."""
    for name, value in cases[0].items():
        if not isinstance(value, Tensor | float) or (
            isinstance(value, Tensor) and not value.is_floating_point()
        ):
            continue
        for sign, word in ((1, "plus"), (-1, "minus")):
            sums = [t + sign * torch.as_tensor(case[name]) for t, case in _fitting(theirs, cases, name)]
            if len(sums) == len(answers) and all(
                close(a, both, tolerance) for a, both in zip(answers, sums, strict=True)
            ):
                yield f"what it returns are those numbers {word} `{name}`"


def _fitting(
    theirs: Sequence[Tensor], cases: Sequence[Arguments], name: str
) -> Iterator[tuple[Tensor, Arguments]]:
    for numbers, case in zip(theirs, cases, strict=True):
        shape = torch.as_tensor(case[name]).shape
        if numbers.shape[numbers.ndim - len(shape) :] == shape:
            yield numbers, case
