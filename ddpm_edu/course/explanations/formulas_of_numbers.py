"""Wrong numbers as formulas of the numbers and sizes among the arguments, found by trying them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from ddpm_edu.course.explanations.calls import Arguments
from ddpm_edu.course.explanations.suspicions import Pairs, Suspicion, quantities

Values = np.ndarray
Known = dict[str, Values]
"""Numbers of all calls, by the formula that gives them."""


def _divided(x: Values, y: Values) -> Values:
    return x / np.where(y == 0, np.nan, y)


_SIGNS: dict[str, Callable[[Values, Values], Values]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divided,
    "//": lambda x, y: np.floor(_divided(x, y)),
    "%": lambda x, y: x - y * np.floor(_divided(x, y)),
}
_OF_WHOLE: dict[str, Callable[[Values], Values]] = {
    "{}": lambda x: x,
    "round({})": np.round,
    "floor({})": np.floor,
    "ceil({})": np.ceil,
    "abs({})": np.abs,
}
_OF_OTHERS: dict[str, Callable[[Values], Values]] = {
    "{}": lambda x: x,
    "1 - ({})": lambda x: 1 - x,
    "1 / ({})": lambda x: 1 / x,
    "1 - 1 / ({})": lambda x: 1 - 1 / x,
    "sqrt({})": np.sqrt,
    "exp(-{})": lambda x: np.exp(-x),
    "1 - exp(-{})": lambda x: 1 - np.exp(-x),
}
_LIMITS = ("{}", "max(0, {})", "max(1, {})", "min({1}, {0})", "max(0, min({1}, {0}))")


def of_numbers(
    pairs: Pairs, cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]], seconds: float
) -> Iterator[Suspicion]:
    """Whether the answers are a short formula of the arguments; the shortest first, for so many seconds."""
    until = time.process_time() + seconds
    answers = np.array([float(answer) for answer, _ in pairs])
    if len(set(answers)) < 3 or not np.isfinite(answers).all():
        return
    atoms = {
        name: np.array(values)
        for name, values in quantities(cases, letters)
        if len(set(values)) > 1 and len(values) == len(cases)
    }
    ones = atoms | {text: np.full(len(cases), float(text)) for text in ("1", "2")}
    zero = {"": np.zeros(len(cases))}
    twos = dict(_joined(ones, ones))
    searches = [(atoms, zero, 3), (twos, zero, 3)]
    if len(ones) <= 8:  # else there are more formulas than answers tell apart
        searches += [(twos, ones, 5), (ones, twos, 5), (twos, twos, 8)]
    for left, right, wanted in searches:
        for text in _found(left, right, atoms, answers, wanted, until):
            yield Suspicion(
                f"Your answers are those of {text}.",
                "Go through a small example on paper: what should count there?",
            )


def _joined(first: Known, second: Known) -> Iterator[tuple[str, Values]]:
    """All pairs of formulas, with the operations of arithmetic between."""
    with np.errstate(all="ignore"):
        for (a, x), (b, y), (sign, joined) in product(first.items(), second.items(), _SIGNS.items()):
            values = joined(x, y)
            if np.isfinite(values).all():
                yield f"({a} {sign} {b})", values


def _found(
    left: Known, right: Known, atoms: Known, answers: Values, wanted: int, until: float
) -> Iterator[str]:
    """Formulas `left sign right`, rounded and limited, that give the answers.

    Args:
        left: the formulas before the sign.
        right: those after it; a single empty one means that there is no sign.
        atoms: what may be an upper limit.
        answers: the student's numbers.
        wanted: so many unlike answers must lie within the limits: fewer may be met by chance.
        until: the processor's time at which the search is given up.
    """
    if not left or not right:
        return
    alone = list(right) == [""]
    forms = _OF_WHOLE if (answers == np.round(answers)).all() else _OF_OTHERS
    x, y = np.stack(list(left.values())), np.stack(list(right.values()))  # (formulas, calls) each
    signs = {"+": np.add} if alone else _SIGNS
    with np.errstate(all="ignore"):
        for limit, (name, most) in _limits(atoms):
            low = float(limit[4]) if limit.startswith("max") else -np.inf
            high = most if most is not None else np.full(len(answers), np.inf)
            inside = np.flatnonzero((answers > low) & (answers < high))
            if len(set(answers[inside])) < wanted:
                continue
            order = inside[np.argsort(-np.abs(answers[inside]))]  # unusual numbers leave few formulas over
            for (sign, joined), (form, change) in product(signs.items(), forms.items()):
                if time.process_time() > until:
                    return
                i = order[0]
                rows, columns = _close(change(joined(x[:, None, i], y[None, :, i])), answers[i]).nonzero()
                for i in order[1:]:
                    kept = _close(change(joined(x[rows, i], y[columns, i])), answers[i])
                    rows, columns = rows[kept], columns[kept]
                for row, column in zip(rows, columns, strict=True):
                    values = change(joined(x[row], y[column]))
                    if _close(np.minimum(np.maximum(values, low), high), answers).all():
                        text = list(left)[row] if alone else f"{list(left)[row]} {sign} {list(right)[column]}"
                        yield limit.format(form.format(_bare(text)), name)


def _limits(atoms: Known) -> Iterator[tuple[str, tuple[str, Values | None]]]:
    for limit in _LIMITS:
        if "{1}" not in limit:
            yield limit, ("", None)
        else:
            for one in atoms.items():
                yield limit, one


def _close(values: Values, wanted: Values | float) -> Values:
    return np.abs(values - wanted) <= 1e-9 + 1e-6 * np.abs(wanted)


def _bare(text: str) -> str:
    """Without brackets around the whole."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[1:-1] if letter == ")" and place == len(text) - 1 and text[0] == "(" else text
    return text
