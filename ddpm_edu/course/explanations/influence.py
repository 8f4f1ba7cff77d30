"""What changes a wrong answer, and what changes the right one: found out by moving one argument at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import as_wanted, of_equal_shape
from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, attempt
from ddpm_edu.course.explanations.places import indices
from ddpm_edu.course.explanations.suspicions import NOT_DEFINED, Pairs, Suspicion, by_value, close, first

Places = frozenset[int]
"""Indices along an axis of an answer."""
LONGEST = 24
"""An axis that is longer is not looked at."""


def by_influence(
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    answers: Sequence[Any],
    wrong: Sequence[int],
    letters: Mapping[str, Sequence[str]],
    tolerance: float,
    seconds: float,
) -> Iterator[Suspicion]:
    """What an argument does to a wrong answer, where it does something else to the right one.

    Args:
        function: the student's.
        correct: the right one.
        cases: the arguments of the calls.
        expected: the right answers.
        answers: the student's.
        wrong: the calls that are wrong.
        letters: the axes of arguments by name; those of the answer under "".
        tolerance: of values.
        seconds: of computing, after which no more is tried.
    """
    pairs = zip(answers, expected, strict=True)
    if not all(of_equal_shape(a, r) and _is_finite(a) and _is_finite(r) for a, r in pairs):
        return
    until = time.process_time() + seconds
    for i in wrong[:2]:
        yield from _mixed(function, correct, cases[i], letters, answers[i], expected[i], until)
    own = [name for name in cases[0] if letters.get(name, ())[:1] == letters.get("", [""])[:1]]
    yield from _shares(function, correct, own, cases, expected, answers, tolerance)


def _is_finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value.double()).all())


# ------------------------------------------------------------------------------------------------
# which entries of an argument change which entries of the answer
# ------------------------------------------------------------------------------------------------


def _mixed(
    function: Function,
    correct: Function,
    case: Arguments,
    letters: Mapping[str, Sequence[str]],
    answer: Tensor,
    right: Tensor,
    until: float,
) -> Iterator[Suspicion]:
    for name, place, axis, letter in _common_axes(case, letters, right):
        mine, theirs = [], []
        for k in range(case[name].shape[place]):
            if time.process_time() > until:
                return
            moved = [{**case, name: value} for value in _moved(case[name], place, k)]
            mine.append(_changed(function, moved, answer, axis))
            theirs.append(_changed(correct, moved, right, axis))
        if any(one is None for one in (*mine, *theirs)) or mine == theirs or not any(theirs):
            continue
        yield _told(name, letter, axis, mine, theirs)


def _common_axes(
    case: Arguments, letters: Mapping[str, Sequence[str]], right: Tensor
) -> Iterator[tuple[str, int, int, str]]:
    """Axes that an argument and the answer share: name, axis there, axis of the answer, and its letter."""
    of_answer = letters.get("", ())
    if len(of_answer) != right.ndim:
        return
    for name, value in case.items():
        mine = letters.get(name, ())
        if not isinstance(value, Tensor) or len(mine) != value.ndim:
            continue
        for place, letter in enumerate(mine):
            length = value.shape[place]
            once = list(of_answer).count(letter) == 1 and list(mine).count(letter) == 1
            if once and 1 < length <= LONGEST and right.shape[list(of_answer).index(letter)] == length:
                yield name, place, list(of_answer).index(letter), letter


def _moved(value: Tensor, axis: int, k: int) -> Iterator[Tensor]:
    """The argument with other entries at one index of an axis: twice, since a limit may hide one change."""
    for step in (0.31, -0.47):
        other = value.clone()
        part = other.select(axis, k)
        if value.dtype == torch.bool:
            part.copy_(~part)
        elif value.is_floating_point():
            part.add_(step * torch.linspace(0.7, 1.3, max(1, part.numel())).reshape(part.shape))
        else:
            part.copy_(value.max() + value.min() - part if step > 0 else value.min())
        if not torch.equal(other, value):
            yield other


def _changed(function: Function, cases: Sequence[Arguments], before: Tensor, axis: int) -> Places | None:
    """Where an answer changes, along one of its axes; None if that cannot be said."""
    found: set[int] = set()
    for case in cases:
        after = as_wanted(attempt(function, case, seconds=MOMENT), before)
        if not (of_equal_shape(after, before) and _is_finite(after)):
            return None
        change = (after.double() - before.double()).abs() / (1 + before.double().abs())
        far = change > 1e-5
        if bool((~far & (change > 3e-7)).any()):
            return None  # a change, or rounding?
        others = [other for other in range(far.ndim) if other != axis]
        lines = far.any(dim=tuple(others)) if others else far
        found |= set(lines.nonzero().flatten().tolist())
    return frozenset(found)


def _told(name: str, letter: str, axis: int, mine: Sequence[Places], theirs: Sequence[Places]) -> Suspicion:
    own = all(places <= {k} for k, places in enumerate(theirs))
    one = "sample" if axis == 0 and letter in ("B", "N") else "index"
    of = "" if one == "sample" else f" of {letter}"
    strange = [k for k, places in enumerate(mine) if places - {k}]
    if own and strange:
        if len(strange) == 1:
            which = {0: "the first", len(mine) - 1: "the last"}.get(strange[0], f"number {strange[0]}")
            what = f"Your answer for other {_plural(one)}{of} changes with the `{name}` of {which} one."
        else:
            what = f"Your answer for one {one}{of} changes with the `{name}` of others."
        hint = "each has only its own there. Is something taken over all of them, or for all from one?"
        return Suspicion(what, f"In the right answer {hint}")
    idle = [k for k, places in enumerate(mine) if theirs[k] and not places]
    busy = [k for k, places in enumerate(mine) if places and not theirs[k]]
    differ = [k for k in range(len(mine)) if mine[k] != theirs[k]]
    if idle and idle == differ:
        what = f"`{name}` at {indices(idle)} of {letter} changes nothing in your answer, and should."
        return Suspicion(what, "Where is that part lost?")
    if busy and busy == differ:
        what = f"`{name}` at {indices(busy)} of {letter} changes your answer, and should not."
        return Suspicion(what, "Which part of it is not to be used?")
    k = differ[len(differ) // 2]
    return Suspicion(
        f"`{name}` at index {k} of {letter} changes your answer at {indices(mine[k])} of {letter}; "
        f"it should at {indices(theirs[k])}.",
        "Which entries belong together?",
    )


def _plural(word: str) -> str:
    return {"index": "indices"}.get(word, f"{word}s")


# ------------------------------------------------------------------------------------------------
# what an argument adds to the answer
# ------------------------------------------------------------------------------------------------


def _shares(
    function: Function,
    correct: Function,
    names: Sequence[str],
    cases: Sequence[Arguments],
    expected: Sequence[Tensor],
    answers: Sequence[Tensor],
    tolerance: float,
) -> Iterator[Suspicion]:
    """Where the answer is right without an argument (that is 0), what is wrong with the part that it adds."""
    for name in names:
        value = cases[0][name]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            continue
        pairs = _added(function, correct, name, cases, expected, answers, tolerance)
        if pairs:
            found = _of_share(name, pairs, cases, tolerance)
            yield from [] if found is None else [found]


def _added(
    function: Function,
    correct: Function,
    name: str,
    cases: Sequence[Arguments],
    expected: Sequence[Tensor],
    answers: Sequence[Tensor],
    tolerance: float,
) -> Pairs:
    """What the argument adds to the answers and to the right ones; empty if they differ without it too."""
    pairs, says_something = [], False
    for case, answer, right in zip(cases, answers, expected, strict=True):
        without = {**case, name: torch.zeros_like(case[name])}
        theirs = as_wanted(attempt(correct, without, seconds=MOMENT), right)
        mine = as_wanted(attempt(function, without, seconds=MOMENT), right)
        if not all(of_equal_shape(one, right) and _is_finite(one) for one in (theirs, mine)):
            return []
        if not close(mine.detach(), theirs.detach(), tolerance):
            return []
        says_something |= float(theirs.double().max() - theirs.double().min()) > 0.01
        pairs.append((answer.detach() - mine.detach(), right.detach() - theirs.detach()))
    return pairs if says_something else []


def _of_share(name: str, pairs: Pairs, cases: Sequence[Arguments], tolerance: float) -> Suspicion | None:
    hint = f"With `{name}` set to 0 your answer is right. Compute alone what comes of `{name}`, and print it."
    start = f"What `{name}` adds to your answer is wrong"
    try:
        found = first(by_value(pairs, cases, {}, tolerance))
    except NOT_DEFINED:
        found = None
    if found is not None:
        said = found.what.replace("Your answers are", "it is").replace("Your answer is", "it is")
        return Suspicion(f"{start}: {said.replace('the right ones', 'the right numbers')}", hint)
    factors = _factors(pairs)
    if factors:
        each = "for each sample" if len(factors) > len(pairs) else "in each call"
        some = ", ".join(f"{factor:.4g}" for factor in factors[:3])
        what = f"{start}: it is the right part times a factor, another one {each}: {some}, …"
        return Suspicion(what, hint)
    return None


def _factors(pairs: Pairs) -> list[float]:
    """The factors between two parts, of each call or else of each sample; empty if there are none."""
    samples = [pair for a, r in pairs if r.ndim > 1 for pair in zip(a, r, strict=True)]
    for rows in (pairs, samples):
        found = [_factor(a, r) for a, r in rows]
        if found and None not in found:
            return [factor for factor in found if factor is not None]
    return []


def _factor(mine: Tensor, theirs: Tensor) -> float | None:
    there = theirs.abs() > 1e-4
    ratios = mine[there] / theirs[there]
    alike = ratios.numel() > 1 and float(ratios.max() - ratios.min()) <= 1e-2 * float(ratios.abs().max())
    return float(ratios.median()) if alike else None
