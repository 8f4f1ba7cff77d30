"""Wrong answers as formulas of the arguments: numbers by a search, tensors by the factor of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ddpm_edu.course.explanations.calls import Arguments, Function
from ddpm_edu.course.explanations.formulas_of_numbers import of_numbers
from ddpm_edu.course.explanations.suspicions import VALUES, Pairs, Suspicion, first
from ddpm_edu.course.explanations.tensors_as_sums import as_sums


def by_formula(
    correct: Function,
    pairs: Pairs,
    cases: Sequence[Arguments],
    letters: Mapping[str, Sequence[str]],
    tolerance: float,
    seconds: float,
) -> Iterator[Suspicion]:
    """For answers of the right shape; the search is given up after so many seconds of computing."""
    if len(pairs) != len(cases):
        return
    if all(right.ndim == 0 for _, right in pairs):
        yield from of_numbers(pairs, cases, letters, seconds)
    elif all(right.ndim >= 2 for _, right in pairs):
        yield from as_sums(correct, pairs, cases, seconds)
        yield from _of_tensors(pairs, cases, tolerance)


def _of_tensors(pairs: Pairs, cases: Sequence[Arguments], tolerance: float) -> Iterator[Suspicion]:
    """Whether both are sums of the same arguments, and whose factor is another."""
    names = [
        name
        for name, value in cases[0].items()
        if isinstance(value, Tensor) and value.is_floating_point() and value.shape == pairs[0][1].shape
    ]
    if not names:
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
            numbers = f"{_short(mine[where, i])}, where {_short(theirs[where, i])} is right"
            of = f", which is that of `{swapped[0]}`" if swapped else ""
            said.append(f"the factor of `{names[i]}` is {numbers}{of}")
    right = [f"that of `{name}` is right" for i, name in enumerate(names) if i not in off]
    yield Suspicion(
        f"Your answer is a sum of {' and '.join(f'`{name}`' for name in names)}, as it should be, but "
        f"{', and '.join([*said, *right])}.",
        "Compute that factor alone, for one sample, and print it.",
    )


def _short(value: Tensor) -> str:
    return f"{float(value):.4g}" if abs(float(value)) > 1e-9 else "0"


def _equal(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return torch.allclose(a, b, atol=10 * tolerance, rtol=10 * tolerance, equal_nan=True)
