"""What can be said of an answer that is wrong in no single way: of most entries, each column, each call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ddpm_edu.course.explanations.calls import Arguments
from ddpm_edu.course.explanations.suspicions import VALUES, Suspicion, close

SHARE = 0.7
"""Of its wrong entries, so many must be explained to say "most"."""


def partly(answers: Sequence[Tensor], rights: Sequence[Tensor], tolerance: float) -> Iterator[Suspicion]:
    """For answers of the right shape that no rule holds for everywhere."""
    answers, rights = [a.detach().double() for a in answers], [r.detach().double() for r in rights]
    yield from _unfilled(answers, rights, tolerance)
    yield from _mostly(answers, rights, tolerance)
    yield from _by_call(answers, rights, tolerance)
    yield from _rounded(answers, rights)
    yield from _by_column(answers, rights, tolerance)
    yield from _summed(answers, rights, tolerance)


def _summed(answers: Sequence[Tensor], rights: Sequence[Tensor], tolerance: float) -> Iterator[Suspicion]:
    """Whether the sums along an axis are right, or the differences, and the entries are not."""
    for axis in range(min(r.ndim for r in rights)):
        if any(r.shape[axis] < 2 for r in rights):
            continue
        where = f"along axis {axis}" if rights[0].ndim > 1 else ""
        pair = all(r.shape[axis] == 2 for r in rights)
        sums = [(a.sum(axis), r.sum(axis)) for a, r in zip(answers, rights, strict=True)]
        steps = [(a.diff(dim=axis), r.diff(dim=axis)) for a, r in zip(answers, rights, strict=True)]
        if _tell(sums, tolerance):
            what = "The middle between your two numbers is right, and how far they lie apart is not"
            what = what if pair else f"The sum of your entries {where} is right, and how it is shared is not"
            yield Suspicion(f"{what}.".replace(" ,", ","), "Compute that part alone, and print it.")
        if _tell(steps, tolerance):
            what = "Your two numbers lie as far apart as they should, but their middle is wrong"
            what = what if pair else f"Your entries differ {where} as they should, but all are moved"
            yield Suspicion(f"{what}.".replace(" ,", ","), "Where does it begin: what is the first of them?")


def _tell(pairs: Sequence[tuple[Tensor, Tensor]], tolerance: float) -> bool:
    alike = all(bool(_close(a, r, tolerance).all()) for a, r in pairs)
    return alike and torch.cat([r.flatten() for _, r in pairs]).unique().numel() > 3


def _mostly(answers: Sequence[Tensor], rights: Sequence[Tensor], tolerance: float) -> Iterator[Suspicion]:
    a, r = (torch.cat([one.flatten() for one in many]) for many in (answers, rights))
    wrong = ~_close(a, r, tolerance)
    if int(wrong.sum()) < 6 or r[wrong].unique().numel() < 4:
        return
    for name, hint, change in VALUES:
        explained = _close(a, change(r), tolerance)[wrong]
        if a[wrong][explained].unique().numel() > 3 and float(explained.double().mean()) >= SHARE:
            share = f"{int(explained.sum())} of your {len(explained)} wrong entries"
            yield Suspicion(f"{share} are {name}; the others are wrong in another way too.", hint)


def _by_column(answers: Sequence[Tensor], rights: Sequence[Tensor], tolerance: float) -> Iterator[Suspicion]:
    """Whether each column is the right one, stretched and moved; or each row, or each channel."""
    count = rights[0].ndim
    for axis in reversed(range(count)):
        if any(r.ndim != count or r.shape[axis] < 2 for r in rights):
            continue
        numbers = _lines_along(axis, answers, rights, tolerance)
        if len({tuple(round(n, 4) for n in pair) for pair in numbers}) > 1:
            each = "Each column" if axis == count - 1 else f"Each part along axis {axis}"
            yield Suspicion(
                f"{each} of your answers is the right one, stretched and moved by numbers of its own.",
                "The way is right, and what it measures by is another: centre, width, deviation, sum?",
            )
            return


def _lines_along(
    axis: int, answers: Sequence[Tensor], rights: Sequence[Tensor], tolerance: float
) -> list[tuple[float, float]]:
    """Factor and distance for each index of an axis; none if one of them has none."""
    numbers = []
    for answer, right in zip(answers, rights, strict=True):
        for index in range(right.shape[axis] if right.numel() > 3 * right.shape[axis] else 0):
            ends = right.select(axis, index).flatten(), answer.select(axis, index).flatten()
            if ends[0].std() < 1e-4:
                continue  # a line through one place says nothing
            fitted = _line(*ends, tolerance)
            if fitted is None:
                return []
            numbers.append(fitted)
    return numbers


def _unfilled(answers: Sequence[Tensor], rights: Sequence[Tensor], tolerance: float) -> Iterator[Suspicion]:
    """Whether all wrong entries are 0, or all that are wrong should be."""
    a, r = (torch.cat([one.flatten() for one in many]) for many in (answers, rights))
    wrong = ~_close(a, r, tolerance)
    if int(wrong.sum()) < 2 or not bool((~wrong & (r != 0)).any()) or r.unique().numel() < 4:
        return
    numbers = all(right.ndim == 0 for right in rights)
    which = f"Your wrong {'answers' if numbers else 'entries'} ({int(wrong.sum())} of {len(wrong)})"
    if bool((a[wrong] == 0).all()):
        yield Suspicion(
            f"{which} are all 0" + ("." if numbers else ": nothing was written there."),
            "What is left out there?",
        )
    elif bool((r[wrong] == 0).all()):
        yield Suspicion(
            f"{which} should all be 0.",
            "What is there, and should not be?",
        )


def _line(right: Tensor, answer: Tensor, tolerance: float) -> tuple[float, float] | None:
    """Factor and distance that make one of the other; None if there are none."""
    spread = right - right.mean()
    factor = float((spread * (answer - answer.mean())).sum() / spread.square().sum())
    distance = float(answer.mean() - factor * right.mean())
    fits = abs(factor) > 1e-3 and close(factor * right + distance, answer, 10 * tolerance)
    return (factor, distance) if fits else None


def _by_call(answers: Sequence[Tensor], rights: Sequence[Tensor], tolerance: float) -> Iterator[Suspicion]:
    """Whether all entries of a call are off by one number, in the right or in the opposite order."""
    pairs = [(a, r) for a, r in zip(answers, rights, strict=True) if r.unique().numel() > 1]
    if len(pairs) < 2:
        return
    orders: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor]], ...] = (
        ("", lambda a, r: a - r),
        ("stand in the opposite order, and ", lambda a, r: a - r.flip(0)),
        ("stand one place too early, and ", lambda a, r: a[:-1] - r[1:]),
        ("stand one place too late, and ", lambda a, r: a[1:] - r[:-1]),
    )
    for how, gap_of in orders:
        gaps = [gap_of(a, r) for a, r in pairs if not how or len(r) > 3]
        if len(gaps) < 2:
            continue
        alike = all(float(gap.max() - gap.min()) < 10 * tolerance for gap in gaps)
        if alike and any(float(gap.abs().max()) > 10 * tolerance for gap in gaps):
            some = ", ".join(f"{float(gap.flatten()[0]):.4g}" for gap in gaps[:3])
            yield Suspicion(
                f"In each call your entries {how}are all off by the same number: {some} in the first calls.",
                "Count the first and the last entry on paper.",
            )


def _rounded(answers: Sequence[Tensor], rights: Sequence[Tensor]) -> Iterator[Suspicion]:
    """Whether whole numbers are wrong by one here and there, all to one side."""
    a, r = (torch.cat([one.flatten() for one in many]) for many in (answers, rights))
    gaps = a - r
    whole = bool((r == r.round()).all()) and bool((a == a.round()).all())
    sides = set(gaps[gaps != 0].tolist())
    if whole and sides in ({1.0}, {-1.0}) and r.unique().numel() > 5 and 2 * int((gaps != 0).sum()) < len(r):
        side = "large" if sides == {1.0} else "small"
        yield Suspicion(
            f"{int((gaps != 0).sum())} of {len(r)} entries are too {side} by 1, and all others are right.",
            "Whole numbers are exact, numbers with a point are not: what is rounded there, and when?",
        )


def _close(a: Tensor, b: Tensor, tolerance: float) -> Tensor:
    return torch.isclose(a, b, atol=tolerance, rtol=tolerance, equal_nan=True)


def when(cases: Sequence[Arguments], wrong: Sequence[int]) -> str:
    """In which calls it is right, if a rule about whole numbers among the arguments tells them apart."""
    right = [i for i in range(len(cases)) if i not in wrong]
    if len(right) < 2 or len(wrong) < 2:
        return ""
    numbers = [name for name in cases[0] if all(_is_whole(case[name]) for case in cases)]
    rules: list[tuple[str, Callable[[Arguments], bool]]] = []
    for name in numbers:
        for text, rule in _OF_ONE.items():
            rules.append((text.format(name), lambda case, n=name, rule=rule: rule(int(case[n]))))
    for a, b in itertools.permutations(numbers, 2):
        for text, pair in _OF_TWO.items():
            rules.append(
                (text.format(a, b), lambda case, a=a, b=b, pair=pair: pair(int(case[a]), int(case[b])))
            )
    for text, rule in rules:
        if [rule(case) for case in cases] == [i in right for i in range(len(cases))]:
            return text
    return ""


def _is_whole(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0 and not value.is_floating_point() and value.dtype != torch.bool
    return isinstance(value, int) and not isinstance(value, bool)


_OF_ONE: dict[str, Callable[[int], bool]] = {
    "`{}` is 0": lambda n: n == 0,
    "`{}` is not 0": lambda n: n != 0,
    "`{}` is 1": lambda n: n == 1,
    "`{}` is not 1": lambda n: n != 1,
    "`{}` is not negative": lambda n: n >= 0,
    "`{}` is negative": lambda n: n < 0,
    "`{}` is above 0": lambda n: n > 0,
    "`{}` is even": lambda n: n % 2 == 0,
    "`{}` is odd": lambda n: n % 2 == 1,
}
_OF_TWO: dict[str, Callable[[int, int], bool]] = {
    "`{1}` divides `{0}`": lambda a, b: b != 0 and a % b == 0,
    "`{1}` does not divide `{0}`": lambda a, b: b != 0 and a % b != 0,
    "`{0}` equals `{1}`": lambda a, b: a == b,
    "`{0}` is below `{1}`": lambda a, b: a < b,
    "`{0}` is at most `{1}`": lambda a, b: a <= b,
}
