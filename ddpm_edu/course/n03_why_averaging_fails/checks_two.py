"""Check of notebook 03: two answers in place of one, each the mean of those that are nearest to it."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def two_answers(function: Function) -> None:
    """Checks `function(samples, first, second, rounds) -> answers (2, T, Da), shares (2,)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (N, T, Da, rounds) in enumerate(((9, 4, 2, 3), (7, 3, 3, 1), (12, 2, 4, 4))):
        generator = torch.Generator().manual_seed(seed)
        side = torch.where(torch.arange(N) % 3 == 0, -1.0, 1.0)[:, None, None]  # (N, 1, 1)
        samples = side + 1.2 * torch.randn(N, T, Da, generator=generator)
        first, second = 0.3 * torch.randn(2, T, Da, generator=generator)
        cases.append({"samples": samples, "first": first, "second": second, "rounds": rounds})
    far = torch.full((3, 2), 50.0)  # nobody is near it
    samples = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(9)).exp()
    cases.append({"samples": samples, "first": samples[0], "second": far, "rounds": 2})
    check_function(
        "two_answers",
        function,
        _two_answers,
        TWO_ANSWERS_MISTAKES,
        cases,
        "Each answer is the mean of its own samples, and an answer that nobody chose stays.",
    )


def _two_answers(
    samples: Tensor,
    first: Tensor,
    second: Tensor,
    rounds: int,
    single_steps: bool = False,
    stays: bool = True,
    farthest: bool = False,
    median: bool = False,
    new_share: bool = False,
    counts: bool = False,
) -> tuple[Tensor, Tensor]:
    """The right answers and shares; each option is a mistake."""
    answers, shares = torch.stack([first, second]), torch.full((2,), 0.5)
    for _ in range(rounds):
        off = (samples[:, None] - answers).square().sum(dim=3)  # (N, 2, T)
        if single_steps:
            off = off[..., :1]
        far = off.sum(dim=2)  # (N, 2)
        nearest = far.argmax(dim=1) if farthest else far.argmin(dim=1)  # (N,)
        moved = []
        for which in (0, 1):
            own = samples[nearest == which]
            middle = own.median(dim=0).values if median and len(own) else own.mean(dim=0)
            moved.append(middle if len(own) or not stays else answers[which])
        answers = torch.stack(moved)
        shares = torch.stack([(nearest == which).float().mean() for which in (0, 1)])
    if new_share:
        off = (samples[:, None] - answers).square().sum(dim=(2, 3))
        shares = torch.stack([(off.argmin(dim=1) == which).float().mean() for which in (0, 1)])
    return answers, shares * len(samples) if counts else shares


TWO_ANSWERS_MISTAKES = (
    Mistake(
        "gives samples to the answer that is farther away",
        lambda *a: _two_answers(*a, farthest=True),
        "`argmin` of the distances: the nearest is wanted.",
    ),
    Mistake(
        "measures the distance at the first time step only",
        lambda *a: _two_answers(*a, single_steps=True),
        "Sum the squared differences over all T steps and all Da numbers.",
    ),
    Mistake(
        "takes the median of an answer's samples",
        lambda *a: _two_answers(*a, median=True),
        "The squared error wants the mean.",
    ),
    Mistake(
        "gives NaN where an answer has no samples",
        lambda *a: _two_answers(*a, stays=False),
        "The mean of no samples is NaN: an answer that nobody chose stays where it is.",
    ),
    Mistake(
        "returns how many samples each answer has, not their share",
        lambda *a: _two_answers(*a, counts=True),
        "A share is between 0 and 1: the mean of a comparison.",
    ),
    Mistake(
        "shares the samples out once more after the last round",
        lambda *a: _two_answers(*a, new_share=True),
        "The shares are those of the last round, from which the answers were made.",
    ),
)
