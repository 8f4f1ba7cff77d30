"""Wrong answers as formulas of the arguments: numbers by a search, tensors by the factor of each argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ddpm_edu.course.calls import Arguments
from ddpm_edu.course.suspicions import VALUES, Pairs, Suspicion, first, quantities

Known = dict[str, np.ndarray]
"""Numbers of all calls, by the formula that gives them."""


def by_formula(
    pairs: Pairs, cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]], tolerance: float
) -> Iterator[Suspicion]:
    """For answers of the right shape."""
    if len(pairs) != len(cases):
        return
    if all(right.ndim == 0 for _, right in pairs):
        yield from _of_numbers(pairs, cases, letters)
    else:
        yield from _of_tensors(pairs, cases, tolerance)


def _of_numbers(
    pairs: Pairs, cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]]
) -> Iterator[Suspicion]:
    """Whether the answers are a short formula of the numbers and sizes among the arguments."""
    answers = np.array([float(answer) for answer, _ in pairs])
    if len(set(answers)) < 3 or not np.isfinite(answers).all():
        return
    atoms = {
        name: np.array(values)
        for name, values in quantities(cases, letters)
        if len(set(values)) > 1 and len(values) == len(cases)
    }
    numbers = {text: np.full(len(cases), float(text)) for text in ("1", "2")}
    ones = atoms | numbers
    twos = _joined(ones, ones)
    searches = [atoms, _limited(atoms), twos, _limited(twos)]
    if len(set(answers)) >= 5 and len(ones) <= 8:  # else there are more formulas than answers tell apart
        searches.append(_joined(twos, ones) | _joined(ones, twos))
    for formulas in searches:
        for text, values in formulas.items():
            if np.allclose(values, answers, rtol=1e-6, atol=1e-9):
                yield Suspicion(
                    f"Your answers are those of {_bare(text)}.",
                    "Go through a small example on paper: what should count there?",
                )
                return


def _joined(first: Known, second: Known) -> Known:
    """All pairs of formulas, with the operations of arithmetic between."""
    found: Known = {}
    with np.errstate(all="ignore"):
        for a, x in first.items():
            for b, y in second.items():
                whole = np.where(y == 0, np.nan, y)
                for sign, values in (
                    ("+", x + y), ("-", x - y), ("*", x * y), ("/", x / whole), ("//", x // whole),
                    ("%", x % whole),
                ):  # fmt: skip
                    if np.isfinite(values).all():
                        found.setdefault(f"({a} {sign} {b})", values)
    return found


def _bare(text: str) -> str:
    """Without the brackets around the whole."""
    return text[1:-1] if text.startswith("(") else text


def _limited(formulas: Known) -> Known:
    """Formulas rounded, or with a lower limit."""
    found: Known = {}
    for text, values in formulas.items():
        bare = _bare(text)
        found[f"max(0, {bare})"] = np.maximum(0, values)
        found[f"max(1, {bare})"] = np.maximum(1, values)
        found[f"round({bare})"] = np.round(values)
        found[f"ceil({bare})"] = np.ceil(values)
        found[f"abs({bare})"] = np.abs(values)
    return found


def _of_tensors(pairs: Pairs, cases: Sequence[Arguments], tolerance: float) -> Iterator[Suspicion]:
    """Whether both are sums of the same arguments, and whose factor is another."""
    names = [
        name
        for name, value in cases[0].items()
        if isinstance(value, Tensor) and value.is_floating_point() and value.shape == pairs[0][1].shape
    ]
    if not names or any(right.ndim < 2 for _, right in pairs):
        return
    if not all(torch.isfinite(one).all() for pair in pairs for one in pair):
        return
    given, wanted = [], []
    for (answer, right), case in zip(pairs, cases, strict=True):
        if any(case[name].shape != right.shape for name in names):
            return
        for row in range(len(right)):
            columns = torch.stack([case[name][row].double().flatten() for name in names], dim=1)
            if len(columns) < 2 * len(names) + 1:
                return
            for value, kept in ((answer, given), (right, wanted)):
                entries = value[row].detach().double().flatten()
                factors = torch.linalg.lstsq(columns, entries[:, None]).solution[:, 0]
                if not torch.allclose(columns @ factors, entries, atol=10 * tolerance, rtol=10 * tolerance):
                    return
                kept.append(factors)
    mine, theirs = torch.stack(given), torch.stack(wanted)  # (samples, arguments)
    off = [i for i in range(len(names)) if not _equal(mine[:, i], theirs[:, i], tolerance)]
    if not off:
        return
    said = []
    for i in off:
        how = first(
            Suspicion(what)
            for what, _, change in VALUES
            if _equal(mine[:, i], change(theirs[:, i]), tolerance)
        )
        if _equal(mine[:, i], torch.zeros_like(mine[:, i]), tolerance):
            said.append(f"`{names[i]}` is not in it")
        elif how is not None:
            said.append(f"the factors of `{names[i]}` are {how.what}")
        else:
            swapped = [
                names[j] for j in range(len(names)) if j != i and _equal(mine[:, i], theirs[:, j], tolerance)
            ]
            where = int((mine[:, i] - theirs[:, i]).abs().argmax())
            numbers = f"{mine[where, i]:.4g}, where {theirs[where, i]:.4g} is right"
            of = f", which is that of `{swapped[0]}`" if swapped else ""
            said.append(f"the factor of `{names[i]}` is {numbers}{of}")
    right = [f"that of `{name}` is right" for i, name in enumerate(names) if i not in off]
    yield Suspicion(
        f"Your answer is a sum of {' and '.join(f'`{name}`' for name in names)}, as it should be, but "
        f"{', and '.join([*said, *right])}.",
        "Compute that factor alone, for one sample, and print it.",
    )


def _equal(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return torch.allclose(a, b, atol=10 * tolerance, rtol=10 * tolerance, equal_nan=True)
