"""What an answer of a wrong shape has to do with the right one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor

from ddpm_edu.course.explanations.suspicions import FENCE, NOT_DEFINED, Pairs, Suspicion, close


def by_shape(pairs: Pairs, letters: Sequence[str] | None, tolerance: float) -> Iterator[Suspicion]:
    """For answers whose shape is another than the right one's, in at least one case.

    Args:
        pairs: the answers and the right ones.
        letters: the axes of the right ones, if they are known.
        tolerance: of values.
    """
    answer, right = next(pair for pair in pairs if pair[0].shape != pair[1].shape)
    wanted = _shape(right, letters)
    tail = f"It returns the shape {tuple(answer.shape)}; {wanted} is wanted."

    def holds(rule: Callable[[Tensor, Tensor], bool]) -> bool:
        try:
            return all(close(a, r, tolerance) or rule(a, r) for a, r in pairs)
        except NOT_DEFINED:
            return False

    if holds(lambda a, r: close(a.squeeze(), r.squeeze(), tolerance)):
        many = "many" if answer.ndim > right.ndim else "few"
        yield Suspicion(
            f"The numbers are right, but there is an axis of length 1 too {many}. {tail}",
            "`keepdim` and `[:, None]` make such axes; `squeeze`, indexing and `mean(dim)` remove them.",
        )
    for order in itertools.permutations(range(answer.ndim)) if 2 <= answer.ndim <= 4 else ():
        if holds(lambda a, r, order=order: close(a.permute(order), r, tolerance)):
            yield Suspicion(
                f"The numbers are right, but the axes stand in another order. {tail}",
                "`.transpose`, `.permute` or `.mT` turns axes; `reshape` does not.",
            )
    if holds(lambda a, r: a.numel() == r.numel() and close(a.flatten(), r.flatten(), tolerance)):
        yield Suspicion(
            f"The numbers are right, and in the right order, but in another shape. {tail}",
            "`reshape`, `flatten` or `view` gives them the wanted shape.",
        )
    for axis in range(right.ndim):
        if holds(
            lambda a, r, axis=axis: a.ndim < r.ndim and close(a.unsqueeze(axis).expand_as(r), r, tolerance)
        ):
            place = _axis(right, letters, axis)
            yield Suspicion(
                f"The numbers are right, but they are not there for each {place}. {tail}",
                "`expand` and `repeat` make an axis; or give it the whole shape at the start.",
            )
    if answer.ndim == right.ndim + 1 and holds(lambda a, r: close(a[-1], r, tolerance)):
        yield Suspicion(
            f"What is wanted is the last of the {len(answer)} that it returns, along axis 0. {tail}",
            "Is only the end wanted, and not the way?",
        )
    for name, reduce in _REDUCTIONS.items():
        for axes in _some_axes(right.ndim):
            if holds(
                lambda a, r, axes=axes, reduce=reduce: close(
                    a.squeeze(), reduce(r.double(), axes).squeeze(), tolerance
                )
            ):
                over = " and ".join(_axis(right, letters, axis) for axis in axes)
                yield Suspicion(f"It takes the {name} over {over} too. {tail}", "That axis is to stay.")
        for axes in _some_axes(answer.ndim):
            if holds(
                lambda a, r, axes=axes, reduce=reduce: close(
                    reduce(a.double(), axes).squeeze(), r.squeeze(), tolerance
                )
            ):
                over = " and ".join(_axis(answer, None, axis) for axis in axes)
                yield Suspicion(
                    f"The {name} over {over} is still to be taken: then the numbers are right. {tail}"
                )
    for axis in range(right.ndim):
        place = _axis(right, letters, axis)
        # Of two, the first alone and all but the last are the same.
        cuts = sorted(_CUTS.items(), key=lambda one: one[0].startswith("only") != (answer.ndim < right.ndim))
        for name, cut in cuts:
            if holds(lambda a, r, axis=axis, cut=cut: close(a.squeeze(), cut(r, axis).squeeze(), tolerance)):
                hint = "Is one picked where all are wanted?" if name.startswith("only") else FENCE
                yield Suspicion(f"Along {place}, {name}; the rest is right. {tail}", hint)
            if answer.ndim == right.ndim and holds(
                lambda a, r, axis=axis, cut=cut: close(cut(a, axis), r, tolerance)
            ):
                yield Suspicion(
                    f"Along {place} there is too much: without it ({name.replace('is missing', 'left out')}) "
                    f"the numbers are right. {tail}",
                    FENCE,
                )
        if answer.ndim == right.ndim and holds(
            lambda a, r, axis=axis: (
                a.shape[axis] > r.shape[axis] and close(a.narrow(axis, 0, r.shape[axis]), r, tolerance)
            )
        ):
            yield Suspicion(f"The numbers are right, but along {place} more follow. {tail}", FENCE)
        if answer.ndim == right.ndim and holds(
            lambda a, r, axis=axis: (
                a.shape[axis] > r.shape[axis]
                and close(a.narrow(axis, a.shape[axis] - r.shape[axis], r.shape[axis]), r, tolerance)
            )
        ):
            yield Suspicion(
                f"The numbers are right, but along {place} others stand before them. {tail}", FENCE
            )
        if answer.ndim == right.ndim and holds(
            lambda a, r, axis=axis: (
                0 < a.shape[axis] < r.shape[axis] and close(a, r.narrow(axis, 0, a.shape[axis]), tolerance)
            )
        ):
            yield Suspicion(f"What is there is right, but along {place} it ends too early. {tail}", FENCE)

    if answer.ndim == 2 and answer.T.shape == right.shape and all(a.T.shape == r.shape for a, r in pairs):
        yield Suspicion(
            f"The two axes are exchanged, and turned round its numbers are not right yet either. {tail}",
            "Which argument counts the rows, and which the columns?",
        )
    for axis in range(right.ndim if answer.ndim == right.ndim else 0):
        if holds(lambda a, r, axis=axis: _begins_alike(a, r, axis, tolerance)):
            place = _axis(right, letters, axis)
            yield Suspicion(f"Along {place} it begins rightly, but it ends at the wrong place. {tail}", FENCE)


def by_axes(
    pairs: Pairs, letters: Sequence[str] | None, sizes: Sequence[Mapping[str, int]]
) -> Iterator[Suspicion]:
    """Which axes the answers have, where nothing else explains their shape.

    Args:
        pairs: the answers and the right ones.
        letters: the axes of the right ones, if they are known.
        sizes: of each case, the lengths of the axes that its arguments have.
    """
    answer, right = next(pair for pair in pairs if pair[0].shape != pair[1].shape)
    wanted = _shape(right, letters)
    if all(a.ndim == 0 for a, _ in pairs):
        yield Suspicion(f"It returns one number, where {wanted} is wanted.", "Which axes are to stay?")
    axes = _axes_of(pairs, sizes)
    if axes:
        said = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
        wanted = wanted if right.ndim else "one number"
        yield Suspicion(
            f"It returns {said} = {tuple(answer.shape)}, where {wanted} is wanted.",
            "Which axes are to be gone, and which to be there?",
        )


def _begins_alike(answer: Tensor, right: Tensor, axis: int, tolerance: float) -> bool:
    length = min(answer.shape[axis], right.shape[axis])
    return length > 0 and close(answer.narrow(axis, 0, length), right.narrow(axis, 0, length), tolerance)


def _axes_of(pairs: Pairs, sizes: Sequence[Mapping[str, int]]) -> list[str]:
    """The letters of the answers' axes, where one letter alone has their length in all cases."""
    count = pairs[0][0].ndim
    if len(sizes) != len(pairs) or count == 0 or any(a.ndim != count for a, _ in pairs):
        return []
    found = []
    for axis in range(count):
        lengths = [a.shape[axis] for a, _ in pairs]
        names = [name for name in sizes[0] if [one.get(name) for one in sizes] == lengths]
        names = names or [
            f"{a} + {b}"
            for a, b in itertools.combinations(sizes[0], 2)
            if [one.get(a, 0) + one.get(b, 0) for one in sizes] == lengths
        ]
        found.append("1" if set(lengths) == {1} else names[0] if len(names) == 1 else "")
    return found if all(found) else []


_REDUCTIONS: dict[str, Callable[[Tensor, Sequence[int]], Tensor]] = {
    "mean": lambda x, axes: x.mean(dim=tuple(axes)),
    "sum": lambda x, axes: x.sum(dim=tuple(axes)),
}
_CUTS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "the first entry is missing": lambda x, axis: x.narrow(axis, 1, x.shape[axis] - 1),
    "the last entry is missing": lambda x, axis: x.narrow(axis, 0, x.shape[axis] - 1),
    "only the first entry is there": lambda x, axis: x.select(axis, 0),
    "only the last entry is there": lambda x, axis: x.select(axis, -1),
}


def _some_axes(count: int) -> Iterator[tuple[int, ...]]:
    for length in range(1, count + 1):
        yield from itertools.combinations(range(count), length)


def _shape(right: Tensor, letters: Sequence[str] | None) -> str:
    if letters and len(letters) == right.ndim:
        return f"({', '.join(letters)}{',' if right.ndim == 1 else ''}) = {tuple(right.shape)}"
    return f"{tuple(right.shape)}"


def _axis(value: Tensor, letters: Sequence[str] | None, axis: int) -> str:
    if letters and len(letters) == value.ndim:
        return f"{letters[axis]} (axis {axis})"
    return f"axis {axis}"
