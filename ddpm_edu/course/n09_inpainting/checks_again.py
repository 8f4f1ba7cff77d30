"""Check of notebook 09: RePaint, which goes back to more noise and fills in again."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def fill_again(function: Function) -> None:
    """Checks `function(denoise_step, timesteps, data, mask, start, draws, alpha_bar) -> (B, T, D)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (rounds, (B, T, D)) in enumerate(((2, (3, 4, 2)), (3, (2, 5, 3)), (1, (2, 3, 4)))):
        generator = torch.Generator().manual_seed(seed)
        mask = torch.zeros(B, T, D, dtype=torch.bool)
        mask[:, :2, 1:] = True
        cases.append(
            {
                "denoise_step": _step,
                "timesteps": torch.tensor([3, 2, 1, 0]),
                "data": torch.randn(B, T, D, generator=generator) * mask,
                "mask": mask,
                "start": torch.randn(B, T, D, generator=generator),
                "draws": torch.randn(4, rounds, 2, B, T, D, generator=generator),
                "alpha_bar": torch.tensor([0.9, 0.7, 0.4, 0.1]),
            }
        )
    check_function(
        "fill_again",
        function,
        _fill_again,
        FILL_AGAIN_MISTAKES,
        cases,
        "Down one level, back up, and down again: given and filled-in entries get used to each other.",
    )


def _step(trajectory: Tensor, k: Tensor) -> Tensor:
    return 0.8 * trajectory + 0.1 * trajectory.roll(1, dims=1).tanh() + 0.05 * k


def _fill_again(
    denoise_step: Function,
    timesteps: Tensor,
    data: Tensor,
    mask: Tensor,
    start: Tensor,
    draws: Tensor,
    alpha_bar: Tensor,
    clean: bool = False,
    back: bool = True,
    back_after_last: bool = False,
    whole: bool = False,
    end: bool = True,
    once: bool = False,
    inverted: bool = False,
    roots: bool = True,
    below: bool = False,
    same_draw: bool = False,
    wrapped: bool = False,
) -> Tensor:
    """The right loop; each option is a mistake."""
    x = start
    for i, k in enumerate(timesteps):
        here = alpha_bar[k]
        before = alpha_bar[k - 1] if k > 0 or wrapped else torch.ones(())
        keep = here if whole else here / before
        rounds = 1 if once else draws.shape[1]
        for r in range(rounds):
            level = before if below else here
            fresh = draws[i, 0 if same_draw else r, 0]
            given = data if clean else level.sqrt() * data + (1 - level).sqrt() * fresh
            x = denoise_step(torch.where(~mask if inverted else mask, given, x), k)
            if back and (r + 1 < rounds or back_after_last):
                a, s = (keep.sqrt(), (1 - keep).sqrt()) if roots else (keep, 1 - keep)
                x = a * x + s * draws[i, r, 1]
    return torch.where(mask, data, x) if end else x


FILL_AGAIN_MISTAKES = (
    Mistake(
        "writes in what is given without noise",
        lambda *a: _fill_again(*a, clean=True),
        "This network was trained without a mask: it expects the noise of level k everywhere.",
    ),
    Mistake(
        "does not go back up between the rounds",
        lambda *a: _fill_again(*a, back=False),
        "After a step x is at level k - 1; one step of noise brings it to level k again.",
    ),
    Mistake(
        "goes back up after the last round, too",
        lambda *a: _fill_again(*a, back_after_last=True),
        "After the last round of a level the walk goes on downwards.",
    ),
    Mistake(
        "goes back up with alpha-bar, as if x were clean",
        lambda *a: _fill_again(*a, whole=True),
        "From level k - 1 to k it is one step: keep = alpha_bar[k] / alpha_bar[k - 1].",
    ),
    Mistake(
        "forgets to write what is given at the end",
        lambda *a: _fill_again(*a, end=False),
        "torch.where(mask, data, x), after the loop.",
    ),
    Mistake(
        "takes one round at each level",
        lambda *a: _fill_again(*a, once=True),
        "`draws.shape[1]` says how many rounds each level has.",
    ),
    Mistake(
        "writes where nothing is given",
        lambda *a: _fill_again(*a, inverted=True),
        "True means given: torch.where(mask, given, x).",
    ),
    Mistake(
        "goes back up without the roots",
        lambda *a: _fill_again(*a, roots=False),
        "Shares are of variance; what multiplies a trajectory is their root.",
    ),
    Mistake(
        "noises what is given to the level below",
        lambda *a: _fill_again(*a, below=True),
        "Before the step x is at level k, so what is given must be, too.",
    ),
    Mistake(
        "uses the same draw for what is given in all rounds of a level",
        lambda *a: _fill_again(*a, same_draw=True),
        "draws[i, r, 0] is for round r.",
    ),
    Mistake(
        "takes alpha_bar[-1], the last, for what is below k = 0",
        lambda *a: _fill_again(*a, wrapped=True),
        "Python counts -1 from the end; below k = 0 all is signal, and alpha-bar is 1.",
    ),
)
