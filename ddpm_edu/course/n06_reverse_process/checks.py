"""Checks of notebook 06: the posterior's mean and one step back; and known mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

BETAS = torch.tensor([0.04, 0.1, 0.17, 0.3, 0.45, 0.7])  # (K,)


@dataclass(frozen=True)
class Level:
    """The schedule's numbers at one step k, as a student would name them."""

    k: int
    beta: Tensor
    alpha: Tensor
    alpha_bar: Tensor
    before: Tensor
    """alpha_bar of step k - 1; 1 before the first."""


def _level(betas: Tensor, timestep: int | Tensor) -> Level:
    k = int(timestep)
    alpha_bar = torch.cumprod(1 - betas, 0)  # (K,)
    before = alpha_bar[k - 1] if k > 0 else torch.ones(())
    return Level(k, betas[k], 1 - betas[k], alpha_bar[k], before)


def _wrapped(betas: Tensor, timestep: int | Tensor) -> Level:
    """With Python's index -1 at k = 0: alpha_bar of the noisiest step."""
    level = _level(betas, timestep)
    return replace(level, before=torch.cumprod(1 - betas, 0)[level.k - 1])


def _shifted(betas: Tensor, timestep: int | Tensor) -> Level:
    """One step late: what belongs to k + 1."""
    return _level(betas, min(int(timestep) + 1, len(betas) - 1))


# ------------------------------------------------------------------------------------------------
# the posterior's mean
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PosteriorMean:
    """of_clean * clean + of_noisy * noisy, right or with a part put wrong."""

    of_clean: Callable[[Level], Tensor] = lambda at: at.before.sqrt() * at.beta / (1 - at.alpha_bar)
    of_noisy: Callable[[Level], Tensor] = lambda at: at.alpha.sqrt() * (1 - at.before) / (1 - at.alpha_bar)
    level: Callable[[Tensor, Tensor], Level] = _level

    def __call__(self, clean: Tensor, noisy: Tensor, timestep: Tensor, betas: Tensor) -> Tensor:
        at = self.level(betas, timestep)
        return self.of_clean(at) * clean + self.of_noisy(at) * noisy  # (B, T, Da)


def posterior_mean(function: Function) -> None:
    """Checks `function(clean (B, T, Da), noisy (B, T, Da), timestep: int, betas (K,)) -> (B, T, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(6)
    cases = []
    for k, K in ((3, 6), (0, 6), (1, 5), (5, 6), (2, 4)):
        clean, noisy = torch.randn(2, 2, 4, 3, generator=generator)
        cases.append({"clean": clean, "noisy": noisy, "timestep": k, "betas": BETAS[:K]})
    passed = "It lies between the noisy and the clean trajectory, and at k = 0 on the clean one."
    check_function(
        "posterior_mean",
        function,
        _posterior_mean,
        POSTERIOR_MEAN_MISTAKES,
        cases,
        passed,
    )


def _posterior_mean(clean: Tensor, noisy: Tensor, timestep: int, betas: Tensor) -> Tensor:
    alpha_bar = torch.cumprod(1 - betas, dim=0)  # (K,)
    before = alpha_bar[timestep - 1] if timestep > 0 else torch.tensor(1.0)
    beta, left = betas[timestep], alpha_bar[timestep]
    of_clean = before.sqrt() * beta / (1 - left)
    of_noisy = (1 - beta).sqrt() * (1 - before) / (1 - left)
    return of_clean * clean + of_noisy * noisy  # (B, T, Da)


_RIGHT = PosteriorMean()
_FORMULA = (
    "The weights are sqrt(alpha_bar_before) * beta / (1 - alpha_bar) for clean, and "
    "sqrt(alpha) * (1 - alpha_bar_before) / (1 - alpha_bar) for noisy."
)

POSTERIOR_MEAN_MISTAKES = (
    Mistake(
        "returns the clean trajectory",
        PosteriorMean(lambda at: torch.ones(()), lambda at: torch.zeros(())),
        "That would be all the way in one step. Mix it with the noisy one. " + _FORMULA,
    ),
    Mistake(
        "exchanges the two weights",
        PosteriorMean(_RIGHT.of_noisy, _RIGHT.of_clean),
        "Early on the way back (k large) x_k must weigh more for the fine parts. " + _FORMULA,
    ),
    Mistake(
        "takes alpha_bar[k - 1] at k = 0 too, where Python counts from the end",
        PosteriorMean(level=_wrapped),
        "alpha_bar[-1] is that of the noisiest step. Before the first step all is signal: alpha_bar = 1.",
    ),
    Mistake(
        "takes alpha_bar of step k where that of step k - 1 belongs",
        PosteriorMean(
            lambda at: at.alpha_bar.sqrt() * at.beta / (1 - at.alpha_bar), lambda at: at.alpha.sqrt()
        ),
        "The step leads from k to k - 1: both levels' alpha_bar are needed. " + _FORMULA,
    ),
    Mistake(
        "forgets the root over alpha_bar of step k - 1",
        PosteriorMean(lambda at: at.before * at.beta / (1 - at.alpha_bar)),
        "What multiplies a trajectory is the root of a share of variance. " + _FORMULA,
    ),
    Mistake(
        "forgets the root over alpha",
        PosteriorMean(of_noisy=lambda at: at.alpha * (1 - at.before) / (1 - at.alpha_bar)),
        "What multiplies a trajectory is the root of a share of variance. " + _FORMULA,
    ),
    Mistake(
        "forgets both roots",
        PosteriorMean(
            lambda at: at.before * at.beta / (1 - at.alpha_bar),
            lambda at: at.alpha * (1 - at.before) / (1 - at.alpha_bar),
        ),
        "What multiplies a trajectory is the root of a share of variance. " + _FORMULA,
    ),
    Mistake(
        "takes alpha_bar where alpha, of this step alone, belongs",
        PosteriorMean(of_noisy=lambda at: at.alpha_bar.sqrt() * (1 - at.before) / (1 - at.alpha_bar)),
        "alpha = 1 - beta is one step's share, alpha_bar that of all steps so far. " + _FORMULA,
    ),
    Mistake(
        "does not divide by 1 - alpha_bar",
        PosteriorMean(lambda at: at.before.sqrt() * at.beta, lambda at: at.alpha.sqrt() * (1 - at.before)),
        "Bayes' rule divides by the density of x_k, whose noise has the variance 1 - alpha_bar. " + _FORMULA,
    ),
    Mistake(
        "divides by the root of 1 - alpha_bar",
        PosteriorMean(
            lambda at: at.before.sqrt() * at.beta / (1 - at.alpha_bar).sqrt(),
            lambda at: at.alpha.sqrt() * (1 - at.before) / (1 - at.alpha_bar).sqrt(),
        ),
        "No root below the line: the variances of two steps are compared there. " + _FORMULA,
    ),
    Mistake(
        "is off by one step: it uses the numbers of k + 1",
        PosteriorMean(level=_shifted),
        "timestep = 0 is the first step of noise, so betas[timestep] is the beta of this step.",
    ),
)


# ------------------------------------------------------------------------------------------------
# one step back
# ------------------------------------------------------------------------------------------------


def _tilde(at: Level) -> Tensor:
    return (1 - at.before) / (1 - at.alpha_bar) * at.beta


@dataclass(frozen=True)
class ReverseStep:
    """One step of DDPM, right or with a part put wrong."""

    clean: Callable[[Tensor, Tensor, Level], Tensor] = lambda noisy, epsilon, at: (
        (noisy - (1 - at.alpha_bar).sqrt() * epsilon) / at.alpha_bar.sqrt()
    )
    clip: Callable[[Tensor], Tensor] = lambda clean: clean.clamp(-1, 1)
    deviation: Callable[[Level], Tensor] = lambda at: _tilde(at).sqrt()
    mean: PosteriorMean = field(default_factory=PosteriorMean)
    after: Callable[[Tensor], Tensor] = lambda x: x

    def __call__(
        self, epsilon: Tensor, noisy: Tensor, noise: Tensor, timestep: Tensor, betas: Tensor
    ) -> Tensor:
        at = self.mean.level(betas, timestep)
        clean = self.clip(self.clean(noisy, epsilon, at))  # (B, T, Da)
        return self.after(self.mean(clean, noisy, timestep, betas) + self.deviation(at) * noise)


def reverse_step(function: Function) -> None:
    """Checks `function(epsilon, noisy, noise, timestep: int, betas (K,)) -> (B, T, Da)`.

    Axes: epsilon (B, T, Da), noisy (B, T, Da) and noise (B, T, Da).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(7)
    cases: list[Arguments] = []
    for k, K in ((3, 6), (0, 6), (1, 5), (5, 6), (2, 4)):
        epsilon, noisy, noise = torch.randn(3, 2, 4, 3, generator=generator)
        cases.append(
            {
                "epsilon": epsilon,
                "noisy": noisy,
                "noise": noise,
                "timestep": k,
                "betas": BETAS[:K],
            }
        )
    passed = "It clips what is predicted, and the last step adds no noise."
    check_function("reverse_step", function, _reverse_step, REVERSE_STEP_MISTAKES, cases, passed)


def _reverse_step(epsilon: Tensor, noisy: Tensor, noise: Tensor, timestep: int, betas: Tensor) -> Tensor:
    alpha_bar = torch.cumprod(1 - betas, dim=0)  # (K,)
    before = alpha_bar[timestep - 1] if timestep > 0 else torch.tensor(1.0)
    beta, left = betas[timestep], alpha_bar[timestep]
    clean = ((noisy - (1 - left).sqrt() * epsilon) / left.sqrt()).clamp(-1, 1)  # (B, T, Da)
    of_clean = before.sqrt() * beta / (1 - left)
    of_noisy = (1 - beta).sqrt() * (1 - before) / (1 - left)
    variance = (1 - before) / (1 - left) * beta
    return of_clean * clean + of_noisy * noisy + variance.sqrt() * noise  # (B, T, Da)


_VARIANCE = "beta_tilde = (1 - alpha_bar_before) / (1 - alpha_bar) * beta."

REVERSE_STEP_MISTAKES = (
    Mistake(
        "returns the predicted clean trajectory",
        lambda epsilon, noisy, noise, k, betas: ReverseStep().clip(
            ReverseStep().clean(noisy, epsilon, _level(betas, k))
        ),
        "One step goes to level k - 1, not all the way. What is predicted here is still a rough guess.",
    ),
    Mistake(
        "adds no noise",
        ReverseStep(deviation=lambda at: torch.zeros(())),
        "x_(k-1) is a draw, not the mean of all draws: add sqrt(beta_tilde) * noise.",
    ),
    Mistake(
        "does not clip the predicted clean trajectory",
        ReverseStep(clip=lambda x: x),
        "clip_sample: clean.clamp(-1, 1). At large k the division by a small root blows errors up.",
    ),
    Mistake(
        "clips the result, not the predicted clean trajectory",
        ReverseStep(clip=lambda x: x, after=lambda x: x.clamp(-1, 1)),
        "x_(k-1) still holds noise, and noise goes beyond 1. Only the clean trajectory has limits.",
    ),
    Mistake(
        "clips the result as well as the predicted clean trajectory",
        ReverseStep(after=lambda x: x.clamp(-1, 1)),
        "x_(k-1) still holds noise, and noise goes beyond 1. Only the clean trajectory has limits.",
    ),
    Mistake(
        "takes the variance beta, and so adds noise in the last step, k = 0",
        ReverseStep(deviation=lambda at: at.beta.sqrt()),
        "The result of the last step is what the robot does: no noise may be added to it. " + _VARIANCE,
    ),
    Mistake(
        "takes the variance beta in place of beta tilde",
        ReverseStep(deviation=lambda at: at.beta.sqrt() * (at.k > 0)),
        "That is 'fixed_large'; 'fixed_small' is the variance of q(x_(k-1) | x_k, x_0). " + _VARIANCE,
    ),
    Mistake(
        "adds noise in the last step, k = 0",
        ReverseStep(deviation=lambda at: (_tilde(at) if at.k else at.beta).sqrt()),
        "The result of the last step is what the robot does: there beta_tilde is 0. " + _VARIANCE,
    ),
    Mistake(
        "multiplies the noise by the variance, without the square root",
        ReverseStep(deviation=_tilde),
        "What multiplies noise is a deviation: the root of the variance.",
    ),
    Mistake(
        "divides by alpha_bar, without the square root, to predict the clean trajectory",
        ReverseStep(
            clean=lambda noisy, epsilon, at: (noisy - (1 - at.alpha_bar).sqrt() * epsilon) / at.alpha_bar
        ),
        "x_k = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) epsilon; solve it for x_0.",
    ),
    Mistake(
        "scales epsilon by 1 - alpha_bar, without the square root",
        ReverseStep(
            clean=lambda noisy, epsilon, at: (noisy - (1 - at.alpha_bar) * epsilon) / at.alpha_bar.sqrt()
        ),
        "x_k = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) epsilon; solve it for x_0.",
    ),
    Mistake(
        "adds the predicted noise where it must be subtracted",
        ReverseStep(
            clean=lambda noisy, epsilon, at: (
                (noisy + (1 - at.alpha_bar).sqrt() * epsilon) / at.alpha_bar.sqrt()
            )
        ),
        "epsilon is what was added on the way here. Going back, take it away.",
    ),
    Mistake(
        "takes alpha, of this step alone, to predict the clean trajectory",
        ReverseStep(clean=lambda noisy, epsilon, at: (noisy - at.beta.sqrt() * epsilon) / at.alpha.sqrt()),
        "Between x_0 and x_k lie all the steps so far: alpha_bar.",
    ),
    Mistake(
        "takes alpha_bar[k - 1] at k = 0 too, where Python counts from the end",
        ReverseStep(mean=PosteriorMean(level=_wrapped)),
        "alpha_bar[-1] is that of the noisiest step. Before the first step all is signal: alpha_bar = 1.",
    ),
    Mistake(
        "is off by one step: it uses the numbers of k + 1",
        ReverseStep(mean=PosteriorMean(level=_shifted)),
        "timestep = 0 is the first step of noise, so betas[timestep] is the beta of this step.",
    ),
)
