"""What a wrong answer has to do with the right one: found out for every exercise alike, by trying.

A check knows the mistakes that somebody wrote down. These here are the others: an axis turned, a sum for a
mean, a sign, a root, an argument that is not used, two that are exchanged, one entry too early. Each is a
sentence about the answers in *all* cases of a check, so it says what is, and does not guess.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ddpm_edu.course.explanations.calls import Arguments

Pairs = Sequence[tuple[Tensor, Tensor]]
"""(answer, right) of each case."""


@dataclass(frozen=True)
class Suspicion:
    """What was found: a sentence about the function, and where to look."""

    what: str
    hint: str = "Open the first hint, or print the parts one by one."


NOT_DEFINED = (AttributeError, TypeError, RuntimeError, ValueError, IndexError, ArithmeticError)
"""What it raises to ask of a value what it does not have: a number's axes, a mask's square."""
FENCE = "A slice and a range leave their end out: count the entries on paper."


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two tensors are equal by value."""
    if a.shape != b.shape:
        return False
    return torch.allclose(a.double(), b.double(), atol=tolerance, rtol=tolerance, equal_nan=True)


def by_value(
    pairs: Pairs, cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]], tolerance: float
) -> Iterator[Suspicion]:
    """For answers of the right shape."""
    answers, rights = [a.double() for a, _ in pairs], [r.double() for _, r in pairs]
    if all(torch.isnan(a).all() for a in answers):
        yield Suspicion("All of its answer is nan.", "0 / 0, the root or the logarithm of a negative number?")
        return
    tells = len({tuple(r.flatten().tolist()) for r in rights}) > 1 or any(
        r.unique().numel() > 1 for r in rights
    )

    def holds(rule: Callable[[Tensor, Tensor], bool]) -> bool:
        try:
            return all(rule(a, r) for a, r in zip(answers, rights, strict=True))
        except NOT_DEFINED:
            return False

    for value in (0, 1, -1):
        if holds(lambda a, r, value=value: bool((a == value).all())):
            said = bool(value) if all(a.dtype == torch.bool for a, _ in pairs) else value
            yield Suspicion(f"Your answer is {said} everywhere, whatever comes.")
    for name, hint, change in VALUES:
        if tells and holds(lambda a, r, change=change: close(a, change(r), tolerance)):
            yield Suspicion(f"Your answers are {name}.", hint)
    if all(r.dtype == torch.bool != a.dtype for a, r in pairs):
        exact = (
            " They are not 0 just where True is wanted." if holds(lambda a, r: close(a != 0, r, 0)) else ""
        )
        kind = str(pairs[0][0].dtype)
        yield Suspicion(
            f"Your function returns numbers ({kind}), where a mask of True and False is wanted.{exact}",
            "A comparison, as `x > 0`, makes a mask.",
        )
    if all(a.dtype == torch.bool for a, _ in pairs) and holds(lambda a, r: bool((a == 1 - r).all())):
        yield Suspicion("True and False are exchanged.", "`~` turns a mask round.")
    yield from _constant(answers, rights, cases, letters, tolerance)
    yield from _moved(answers, rights, holds, tolerance)
    if len(answers) > 1 and len({tuple(a.flatten().tolist()) for a in answers}) == 1:
        yield Suspicion("Your answer is the same in all calls, whatever comes.", "Use the arguments.")
    yield from _like_an_argument(answers, cases, tolerance)
    yield from _alike(answers, rights, holds, tolerance)
    if holds(lambda a, r: close(a.abs(), r.abs(), tolerance)):
        yield Suspicion("The sizes are right, but some signs are wrong.", "Which term is to be subtracted?")


Change = Callable[[Tensor], Tensor]
VALUES: tuple[tuple[str, str, Change], ...] = (
    ("(1 + the right ones) / 2: from 0 to 1, not from -1 to 1", "2 x - 1 goes there.", lambda r: (1 + r) / 2),
    ("2 times the right ones, minus 1", "From 0 to 1 is wanted, not from -1 to 1.", lambda r: 2 * r - 1),
    ("the right ones with the opposite sign", "What is subtracted from what?", lambda r: -r),
    ("1 minus the right ones", "A share, or the rest of it?", lambda r: 1 - r),
    ("1 over the right ones", "What is divided by what?", lambda r: 1 / r),
    ("the squares of the right ones", "A square is left over, or a root is missing.", lambda r: r.square()),
    (
        "the roots of the right ones",
        "A square is missing, or a root too many.",
        lambda r: r.clamp(min=0).sqrt(),
    ),
    ("the sizes of the right ones, without sign", "Where is the sign lost?", lambda r: r.abs()),
    ("the right ones, limited to [-1, 1]", "Nothing is to be limited at the end.", lambda r: r.clamp(-1, 1)),
    ("the right ones, limited to [0, 1]", "Nothing is to be limited at the end.", lambda r: r.clamp(0, 1)),
    ("the right ones, but 0 where those are negative", "What may be negative?", lambda r: r.clamp(min=0)),
    ("the right ones, but never below 1", "What may be below 1?", lambda r: r.clamp(min=1)),
    ("the right ones, rounded", "Nothing is to be rounded.", lambda r: r.round()),
    ("the right ones, rounded down", "`//`, `int` and `floor` drop what is left over.", lambda r: r.floor()),
    ("the right ones, rounded up", "Nothing is to be rounded.", lambda r: r.ceil()),
    ("the exponentials of the right ones", "Leave `exp` out.", lambda r: r.exp()),
    ("the logarithms of the right ones", "Leave `log` out.", lambda r: r.clamp(min=1e-30).log()),
)


def _constant(
    answers: Sequence[Tensor],
    rights: Sequence[Tensor],
    cases: Sequence[Arguments],
    letters: Mapping[str, Sequence[str]],
    tolerance: float,
) -> Iterator[Suspicion]:
    """Whether the answer is the right one times, or plus, something known."""
    factors, distances = [], []
    for answer, right in zip(answers, rights, strict=True):
        there = right.abs() > 1e-6
        ratios, gaps = answer[there] / right[there], answer - right
        if there.any() and not bool((answer[~there].abs() > tolerance).any()):
            factors.append(
                ratios.median()
                if float(ratios.max() - ratios.min()) < 1e-3 * float(ratios.abs().max())
                else None
            )
        elif there.any():
            factors.append(None)
        distances.append(gaps.median() if float(gaps.max() - gaps.min()) < 10 * tolerance else None)
    if factors and all(factor is not None for factor in factors):
        numbers = [float(factor) for factor in factors]
        known = _named(numbers, cases, letters) if len(numbers) == len(cases) else None
        if all(abs(number - 1) < 1e-4 for number in numbers) or all(
            abs(number) < 1e-12 for number in numbers
        ):
            known = None
        elif known is None and max(numbers) - min(numbers) < 1e-3 * abs(numbers[0]):
            known = _number(numbers[0])
        if known:
            yield Suspicion(
                f"Your answers are {known} times the right ones.",
                "What is multiplied or divided once too often?",
            )
    if distances and all(distance is not None for distance in distances):
        numbers = [float(distance) for distance in distances]
        if max(map(abs, numbers)) > 10 * tolerance:
            known = _named(numbers, cases, letters)
            if known is None and max(numbers) - min(numbers) < 10 * tolerance:
                known = _number(abs(numbers[0]))
                side = "more" if numbers[0] > 0 else "less"
                hint = (
                    f"{FENCE} Or is it rounded the other way?"
                    if float(known) % 1 == 0
                    else "What is added, or subtracted, at the end?"
                )
                yield Suspicion(f"Your answers are the right ones, and {known} {side}.", hint)
            elif known:
                yield Suspicion(
                    f"Your answers are the right ones plus {known}.", "What is added once too often?"
                )


def _named(
    numbers: Sequence[float], cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]]
) -> str | None:
    """What the numbers are, if they differ from case to case as a size or an argument does."""
    if (
        len(cases) < 2
        or len(numbers) != len(cases)
        or max(numbers) - min(numbers) < 1e-3 * max(map(abs, numbers))
    ):
        return None
    for name, quantity in quantities_and_pairs(cases, letters):
        for form, rule in _FORMS.items():
            try:
                expected = [rule(value) for value in quantity]
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
            if all(abs(a - b) < 1e-3 * max(1e-9, abs(b)) for a, b in zip(numbers, expected, strict=True)):
                return form.format(name)
    return None


_FORMS: dict[str, Callable[[float], float]] = {
    "{}": lambda q: q,
    "1/{}": lambda q: 1 / q,
    "{0}/({0} - 1)": lambda q: q / (q - 1),
    "({0} - 1)/{0}": lambda q: (q - 1) / q,
    "{0}/({0} + 1)": lambda q: q / (q + 1),
    "({0} + 1)/{0}": lambda q: (q + 1) / q,
    "sqrt({})": lambda q: math.sqrt(q),
    "1/sqrt({})": lambda q: 1 / math.sqrt(q),
    "{}²": lambda q: q * q,
    "1/{}²": lambda q: 1 / (q * q),
    "({} - 1)": lambda q: q - 1,
    "({} + 1)": lambda q: q + 1,
    "-{}": lambda q: -q,
    "2/{}": lambda q: 2 / q,
    "{}/2": lambda q: q / 2,
}


def quantities(
    cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[float]]]:
    """Sizes of axes and plain numbers among the arguments."""
    found: dict[str, list[float]] = {}
    for name, value in cases[0].items():
        values = [case[name] for case in cases]
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[f"`{name}`"] = [float(one) for one in values]
        elif isinstance(value, list):
            found[f"the length of `{name}`"] = [float(len(one)) for one in values]
        elif isinstance(value, Tensor) and value.ndim == 0 and value.dtype != torch.bool:
            found[f"`{name}`"] = [float(one) for one in values]
        elif isinstance(value, Tensor):
            for axis in range(value.ndim):
                letter = letters.get(name, ())
                what = letter[axis] if len(letter) == value.ndim else f"the length of axis {axis} of `{name}`"
                found.setdefault(what, [float(one.shape[axis]) for one in values])
            if value.dtype == torch.bool:
                found[f"the share of True in `{name}`"] = [float(one.float().mean()) for one in values]
                found[f"the share of False in `{name}`"] = [1 - float(one.float().mean()) for one in values]
    yield from found.items()


def quantities_and_pairs(
    cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[float]]]:
    """`quantities`, and their products, sums, quotients and differences."""
    found = dict(quantities(cases, letters))
    yield from found.items()
    for (a, first), (b, second) in itertools.permutations(found.items(), 2):
        yield f"({a} / {b})", [x / y if y else math.nan for x, y in zip(first, second, strict=True)]
    for (a, first), (b, second) in itertools.combinations(found.items(), 2):
        yield f"({a} * {b})", [x * y for x, y in zip(first, second, strict=True)]
        yield f"({a} + {b})", [x + y for x, y in zip(first, second, strict=True)]
    for (a, first), (b, second) in itertools.permutations(found.items(), 2):
        yield f"({a} - {b})", [x - y for x, y in zip(first, second, strict=True)]


def _number(value: float) -> str:
    if abs(value) < 1e-3:
        return f"1/{1 / value:.6g}"
    if abs(value - round(value)) < 1e-3 * max(1, abs(value)):
        return f"{round(value)}"
    if abs(value - round(value, 2)) < 1e-5:
        return f"{value:.2g}"
    near = Fraction(value).limit_denominator(12 if abs(1 / value) < 12 else 1000)
    if abs(value - float(near)) < 1e-4 * abs(value) and (near.denominator <= 12 or abs(near.numerator) == 1):
        return str(near)
    return f"{value:.4g}"


def _moved(
    answers: Sequence[Tensor], rights: Sequence[Tensor], holds: Callable[..., bool], tolerance: float
) -> Iterator[Suspicion]:
    """The right entries in other places."""
    count = rights[0].ndim
    if any(r.ndim != count for r in rights):
        return
    for axis in range(count):
        if all(r.shape[axis] < 2 for r in rights):
            continue
        where = f"along axis {axis}" if count > 1 else ""
        for shift, name in ((1, "one place too late"), (-1, "one place too early")):
            if holds(lambda a, r, axis=axis, shift=shift: close(a, r.roll(shift, axis), tolerance)):
                yield Suspicion(
                    f"The right entries stand {name} {where}, and go round.".replace(" ,", ","), FENCE
                )
            inside = slice(1, None) if shift == 1 else slice(None, -1)
            if holds(
                lambda a, r, axis=axis, shift=shift, inside=inside: (
                    close(a.movedim(axis, 0)[inside], r.roll(shift, axis).movedim(axis, 0)[inside], tolerance)
                    and r.shape[axis] > 2
                )
            ):
                yield Suspicion(f"The right entries stand {name} {where}.".replace(" .", "."), FENCE)
        places = [_shift(a, r, axis, tolerance) for a, r in zip(answers, rights, strict=True)]
        if all(places) and len({place > 0 for place in places}) == 1:
            far = str(abs(places[0])) if len(set(places)) == 1 else ", ".join(str(abs(one)) for one in places)
            late = "late" if places[0] > 0 else "early"
            yield Suspicion(
                f"The right entries stand {far} places too {late} {where}.".replace(" .", "."), FENCE
            )
        if holds(lambda a, r, axis=axis: close(a, r.flip(axis), tolerance)):
            yield Suspicion(f"The right entries stand in the opposite order {where}.".replace(" .", "."))
        if holds(lambda a, r, axis=axis: close(a, r.cumsum(axis), tolerance)):
            yield Suspicion(f"Your answers are the running sum of the right ones {where}.".replace(" .", "."))
        if holds(lambda a, r, axis=axis: close(a.sort(axis).values, r.sort(axis).values, tolerance)):
            yield Suspicion(f"The right entries are there, but in another order {where}.".replace(" .", "."))
    if count >= 2:
        for first, second in itertools.combinations(range(count), 2):
            if holds(
                lambda a, r, f=first, s=second: (
                    r.shape[f] == r.shape[s] and close(a, r.transpose(f, s), tolerance)
                )
            ):
                yield Suspicion(f"Axes {first} and {second} are exchanged.", "`reshape` does not turn axes.")
        if holds(lambda a, r: close(a.flatten().sort().values, r.flatten().sort().values, tolerance)):
            yield Suspicion("All right numbers are there, but in other places.", "Which axis comes first?")


def _shift(answer: Tensor, right: Tensor, axis: int, tolerance: float) -> int:
    """By how many places, two at least, the right entries are moved on along an axis; 0 if they are not."""
    a, r = answer.movedim(axis, 0), right.movedim(axis, 0)
    for places in range(2, len(r) - 1):
        kept = r[: len(r) - places].unique().numel() > 2 and r[places:].unique().numel() > 2
        if kept and close(a[places:], r[: len(r) - places], tolerance):
            return places
        if kept and close(a[: len(r) - places], r[places:], tolerance):
            return -places
    return 0


def _like_an_argument(
    answers: Sequence[Tensor], cases: Sequence[Arguments], tolerance: float
) -> Iterator[Suspicion]:
    for name, value in cases[0].items():
        if not isinstance(value, Tensor | int | float):
            continue
        values = [torch.as_tensor(case[name]).double() for case in cases]
        for what, change in (("`{}` as it is", lambda x: x), ("`{}` with the opposite sign", lambda x: -x)):
            if all(
                a.shape == v.shape and close(a, change(v), tolerance)
                for a, v in zip(answers, values, strict=True)
            ):
                yield Suspicion(
                    f"It returns {what.format(name)}.", "Is a result computed, and then not returned?"
                )


def _alike(
    answers: Sequence[Tensor], rights: Sequence[Tensor], holds: Callable[..., bool], tolerance: float
) -> Iterator[Suspicion]:
    """All rows equal where they should differ."""
    for axis in range(min(r.ndim for r in rights)):
        same = holds(lambda a, r, axis=axis: close(a, a.narrow(axis, 0, 1).expand_as(a), tolerance))
        differ = any(
            r.shape[axis] > 1 and not close(r, r.narrow(axis, 0, 1).expand_as(r), tolerance) for r in rights
        )
        if same and differ:
            first = holds(lambda a, r, axis=axis: close(a, r.narrow(axis, 0, 1).expand_as(a), tolerance))
            whose = ": those of the first" if first else ""
            yield Suspicion(
                f"Your answer's entries are all alike along axis {axis}, where they should differ{whose}.",
                "Each has its own: is one picked for all?",
            )


def letters_of(text: str | None) -> dict[str, list[str]]:
    """Axes by argument, read off a check's docstring: `clean (B, T, Da), noise` gives {clean: [B, T, Da]}."""
    import re

    found = {}
    for name, axes in re.findall(r"(\w+) \(((?:\d,? ?)?[A-Z][\w',+* -]*)\)", text or ""):
        found[name] = [axis.strip() for axis in axes.split(",") if axis.strip()]
    arrow = re.search(r"-> [^(`]*\(([A-Z][\w',+* -]*)\)", text or "")
    if arrow:
        found[""] = [axis.strip() for axis in arrow[1].split(",") if axis.strip()]
    return found


def sizes_of(case: Arguments, letters: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The lengths of axes by their letters, and whole numbers by their names."""
    found: dict[str, int] = {}
    for name, value in case.items():
        if isinstance(value, Tensor) and value.ndim and len(letters.get(name, ())) == value.ndim:
            found |= dict(zip(letters[name], value.shape, strict=True))
        elif isinstance(value, int) and not isinstance(value, bool) and value > 1:
            found[f"`{name}`"] = value
    return found


def first(found: Iterable[Suspicion]) -> Suspicion | None:
    """The first of them, if there is one."""
    return next(iter(found), None)
