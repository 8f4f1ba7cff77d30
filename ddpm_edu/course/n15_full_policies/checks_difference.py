"""Check of notebook 15: an interval for the difference of two success rates."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def difference_interval(function: Function) -> None:
    """Checks `function(wins_a, n_a, wins_b, n_b, z) -> intervals (N, 2)`: Newcombe's.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {
            "wins_a": torch.tensor(wins_a),
            "n_a": torch.tensor(n_a),
            "wins_b": torch.tensor(wins_b),
            "n_b": torch.tensor(n_b),
            "z": torch.tensor(z),
        }
        for wins_a, n_a, wins_b, n_b, z in (
            ([67.0, 20.0, 3.0], [100.0, 20.0, 8.0], [77.0, 14.0, 0.0], [100.0, 25.0, 10.0], 1.96),
            ([9.0, 45.0], [12.0, 50.0], [30.0, 19.0], [60.0, 20.0], 1.28),
        )
    ]
    check_function(
        "difference_interval",
        function,
        _difference_interval,
        DIFFERENCE_MISTAKES,
        cases,
        "An interval for a difference, that stays within -1 and 1 even at 20 of 20.",
    )


def _difference_interval(
    wins_a: Tensor,
    n_a: Tensor,
    wins_b: Tensor,
    n_b: Tensor,
    z: Tensor,
    crossed: bool = True,
    wald: bool = False,
    ends: bool = False,
    reversed_sign: bool = False,
    rooted: bool = True,
    middles: bool = False,
    even: bool = False,
    scaled: bool = True,
) -> Tensor:
    """The right intervals; each option is a mistake."""

    def wilson(wins: Tensor, n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rate = wins / n
        middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * (rate * (1 - rate) / n + z**2 / (4 * n**2)).sqrt() / (1 + z**2 / n if scaled else 1)
        return rate, middle - half, middle + half

    a, a_low, a_high = wilson(wins_a, n_a)
    b, b_low, b_high = wilson(wins_b, n_b)
    if reversed_sign:
        (a, a_low, a_high), (b, b_low, b_high) = (b, b_low, b_high), (a, a_low, a_high)
    if even:
        half = (((a_high - a_low) / 2) ** 2 + ((b_high - b_low) / 2) ** 2).sqrt()
        return torch.stack([a - b - half, a - b + half], dim=-1)
    if ends:
        return torch.stack([a_low - b_high, a_high - b_low], dim=-1)
    if wald:
        half = z * (a * (1 - a) / n_a + b * (1 - b) / n_b).sqrt()
        return torch.stack([a - b - half, a - b + half], dim=-1)
    down, up = (b_high - b, b - b_low) if crossed else (b - b_low, b_high - b)
    below, above = (a - a_low) ** 2 + down**2, (a_high - a) ** 2 + up**2
    if rooted:
        below, above = below.sqrt(), above.sqrt()
    centre = (a_low + a_high - b_low - b_high) / 2 if middles else a - b
    return torch.stack([centre - below, centre + above], dim=-1)


DIFFERENCE_MISTAKES = (
    Mistake(
        "takes the normal interval of the difference",
        lambda *a: _difference_interval(*a, wald=True),
        "At 20 of 20 its own part has no width at all. Take the ends of Wilson's two intervals.",
    ),
    Mistake(
        "takes the worst ends of both intervals",
        lambda *a: _difference_interval(*a, ends=True),
        "That both policies are at their unlucky end at once is rare: the distances add like squares.",
    ),
    Mistake(
        "pairs b's lower distance with a's lower distance",
        lambda *a: _difference_interval(*a, crossed=False),
        "The difference is small where a is low and b is high: a - a_low goes with b_high - b.",
    ),
    Mistake(
        "subtracts a from b",
        lambda *a: _difference_interval(*a, reversed_sign=True),
        "a - b is wanted.",
    ),
    Mistake(
        "forgets the root of the sum of squares",
        lambda *a: _difference_interval(*a, rooted=False),
        "A distance is the root of the sum of squared distances.",
    ),
    Mistake(
        "starts from the middles of the intervals, not from the rates",
        lambda *a: _difference_interval(*a, middles=True),
        "The difference of the rates stands in the middle: wins / n, not Wilson's shrunk middle.",
    ),
    Mistake(
        "takes half of each interval's width on both sides",
        lambda *a: _difference_interval(*a, even=True),
        "Wilson's intervals are lopsided: the way down and the way up are different.",
    ),
    Mistake(
        "forgets to divide the half width by 1 + z**2 / n",
        lambda *a: _difference_interval(*a, scaled=False),
        "Middle and half width stand over the same 1 + z**2 / n.",
    ),
)
