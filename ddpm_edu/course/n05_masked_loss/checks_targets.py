"""Checks of notebook 05: the target v, and the clean trajectory from a predicted noise; known mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

ALPHA_BAR = torch.tensor([0.97, 0.9, 0.71, 0.52, 0.33, 0.2, 0.08, 0.03])  # (K,)

Scale = Callable[[Tensor, Tensor], Tensor]
"""From a = sqrt(alpha_bar) and s = sqrt(1 - alpha_bar), each (K,), to a factor of each step (K,)."""
Pick = Callable[[Tensor, Tensor], Tensor]
"""From the factors (K,) and the timesteps (B,) to what multiplies a batch (B, T, Da)."""


def _per_sample(scale: Tensor, k: Tensor) -> Tensor:
    return scale[k][:, None, None]  # (B, 1, 1)


@dataclass(frozen=True)
class TwoTerms:
    """first_scale * first + second_scale * second: what v and x_0 both are, right or with a part put wrong.

    Called with (first (B, T, Da), second (B, T, Da), timestep (B,), alpha_bar (K,)).
    """

    first: Scale
    second: Scale
    pick: Pick = _per_sample

    def __call__(self, first: Tensor, second: Tensor, timestep: Tensor, alpha_bar: Tensor) -> Tensor:
        a, s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()  # (K,)
        return (
            self.pick(self.first(a, s), timestep) * first + self.pick(self.second(a, s), timestep) * second
        )  # (B, T, Da)


def _cases(first: str, second: str) -> list[Arguments]:
    """B unlike T and Da, then B = T, then B = Da: wrong broadcasting raises in the first only."""
    generator = torch.Generator().manual_seed(5)
    cases = []
    for B, T, Da, K in ((5, 4, 3, 8), (4, 4, 3, 7), (3, 4, 3, 8), (2, 5, 3, 6)):
        values = torch.randn(2, B, T, Da, generator=generator)
        timestep = torch.tensor([3, 0, K - 1, 5, 1])[:B]
        given = {first: values[0], second: values[1], "timestep": timestep, "alpha_bar": ALPHA_BAR[:K]}
        cases.append(given)
    return cases


_PER_SAMPLE = "Each sample needs its own factor, shaped (B, 1, 1): alpha_bar[timestep].reshape(-1, 1, 1)."


def _wrong_picks(right: TwoTerms) -> tuple[Mistake, ...]:
    """Right factors, put on the wrong axis."""
    return (
        Mistake(
            "broadcasts the factors (B,) along the last axis, the action dimensions",
            TwoTerms(right.first, right.second, lambda scale, k: scale[k]),
            "Broadcasting aligns the last axes; it only fails where B is not Da. " + _PER_SAMPLE,
        ),
        Mistake(
            "broadcasts the factors (B, 1) along the time axis",
            TwoTerms(right.first, right.second, lambda scale, k: scale[k][:, None]),
            "Broadcasting aligns the last axes; it only fails where B is not T. " + _PER_SAMPLE,
        ),
        Mistake(
            "uses the first sample's k for the whole batch",
            TwoTerms(right.first, right.second, lambda scale, k: scale[k[0]]),
            "Each sample of a training batch has its own random k. " + _PER_SAMPLE,
        ),
        Mistake(
            "takes alpha_bar[k - 1] (at k = 0 the last)",
            TwoTerms(right.first, right.second, lambda scale, k: scale[k - 1][:, None, None]),
            "k counts from 0: alpha_bar[timestep] is the level at which the trajectory was noised.",
        ),
    )


# ------------------------------------------------------------------------------------------------
# v
# ------------------------------------------------------------------------------------------------


def v_target(function: Function) -> None:
    """Checks `function(clean (B, T, Da), noise (B, T, Da), timestep (B,), alpha_bar (K,)) -> v (B, T, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "v_target",
        function,
        _v_target,
        V_TARGET_MISTAKES,
        _cases("clean", "noise"),
        "Your v is the other coordinate of the rotated pair.",
    )


def _v_target(clean: Tensor, noise: Tensor, timestep: Tensor, alpha_bar: Tensor) -> Tensor:
    a = alpha_bar[timestep].sqrt().reshape(-1, 1, 1)  # (B, 1, 1)
    s = (1 - alpha_bar[timestep]).sqrt().reshape(-1, 1, 1)  # (B, 1, 1)
    return a * noise - s * clean  # (B, T, Da)


_V = TwoTerms(lambda a, s: -s, lambda a, s: a)
_ROTATED = "v = sqrt(alpha_bar) * noise - sqrt(1 - alpha_bar) * clean."

V_TARGET_MISTAKES = (
    Mistake(
        "returns x_k, the noisy trajectory",
        TwoTerms(lambda a, s: a, lambda a, s: s),
        "x_k is what the network sees. v is at a right angle to it: exchange the factors, and one sign.",
    ),
    Mistake(
        "returns the noise, the target of epsilon-prediction",
        TwoTerms(lambda a, s: 0 * a, lambda a, s: 1 + 0 * a),
        "v mixes the noise and the clean trajectory. " + _ROTATED,
    ),
    Mistake(
        "returns the clean trajectory, the target of sample-prediction",
        TwoTerms(lambda a, s: 1 + 0 * a, lambda a, s: 0 * a),
        "v mixes the noise and the clean trajectory. " + _ROTATED,
    ),
    Mistake(
        "has the sign the wrong way round: it returns -v",
        TwoTerms(lambda a, s: s, lambda a, s: -a),
        "v points from clean to noise: with hardly any noise yet (a near 1) it is about +noise.",
    ),
    Mistake(
        "adds the two terms",
        TwoTerms(lambda a, s: s, lambda a, s: a),
        "Then it is not at a right angle to x_k, and cannot be turned back into x_0. One sign is minus.",
    ),
    Mistake(
        "exchanges the two factors",
        TwoTerms(lambda a, s: -a, lambda a, s: s),
        "With hardly any noise v is the noise, so sqrt(alpha_bar), near 1 there, belongs to the noise.",
    ),
    Mistake(
        "exchanges clean and noise: it returns a x_0 - s epsilon",
        TwoTerms(lambda a, s: a, lambda a, s: -s),
        "With hardly any noise (a near 1) v is about the noise, not the clean trajectory. " + _ROTATED,
    ),
    Mistake(
        "takes 1 - sqrt(alpha_bar) for the factor of the clean trajectory",
        TwoTerms(lambda a, s: -(1 - a), lambda a, s: a),
        "The root is over the difference: s = sqrt(1 - alpha_bar), so that a^2 + s^2 = 1.",
    ),
    Mistake(
        "takes no square roots",
        TwoTerms(lambda a, s: -(s**2), lambda a, s: a**2),
        "alpha_bar is a share of variance. What multiplies a trajectory is its square root.",
    ),
    Mistake(
        "returns noise - clean, without factors",
        TwoTerms(lambda a, s: -1 + 0 * a, lambda a, s: 1 + 0 * a),
        "That is the velocity of a straight road (flow matching). Here the road is an arc. " + _ROTATED,
    ),
    *_wrong_picks(_V),
)


# ------------------------------------------------------------------------------------------------
# from epsilon to x_0
# ------------------------------------------------------------------------------------------------


def sample_from_epsilon(function: Function) -> None:
    """Checks `function(noisy, epsilon, timestep (B,), alpha_bar (K,)) -> x_0 (B, T, Da)`.

    Axes: noisy (B, T, Da) and epsilon (B, T, Da).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "sample_from_epsilon",
        function,
        _sample_from_epsilon,
        SAMPLE_FROM_EPSILON_MISTAKES,
        _cases("noisy", "epsilon"),
        "You undo the forward process, whoever names the noise.",
    )


def _sample_from_epsilon(noisy: Tensor, epsilon: Tensor, timestep: Tensor, alpha_bar: Tensor) -> Tensor:
    a = alpha_bar[timestep].sqrt().reshape(-1, 1, 1)  # (B, 1, 1)
    s = (1 - alpha_bar[timestep]).sqrt().reshape(-1, 1, 1)  # (B, 1, 1)
    return (noisy - s * epsilon) / a  # (B, T, Da)


_CLEAN = TwoTerms(lambda a, s: 1 / a, lambda a, s: -s / a)
_SOLVE = "Solve x_k = a * x_0 + s * epsilon for x_0, with a and s the two square roots."

SAMPLE_FROM_EPSILON_MISTAKES = (
    Mistake(
        "does not divide: it returns a * x_0",
        TwoTerms(lambda a, s: 1 + 0 * a, lambda a, s: -s),
        "Without its noise the trajectory is still shrunk by sqrt(alpha_bar). Divide.",
    ),
    Mistake(
        "multiplies by sqrt(alpha_bar) where it should divide",
        TwoTerms(lambda a, s: a, lambda a, s: -a * s),
        "The forward process shrank the signal by sqrt(alpha_bar); undo it.",
    ),
    Mistake(
        "subtracts the noise as it is, unscaled",
        TwoTerms(lambda a, s: 1 + 0 * a, lambda a, s: -1 + 0 * a),
        "epsilon has variance 1; in x_k it stands scaled by sqrt(1 - alpha_bar). " + _SOLVE,
    ),
    Mistake(
        "adds the noise",
        TwoTerms(lambda a, s: 1 / a, lambda a, s: s / a),
        "The forward process added it. " + _SOLVE,
    ),
    Mistake(
        "divides by alpha_bar, not by its root",
        TwoTerms(lambda a, s: 1 / a**2, lambda a, s: -s / a**2),
        "The signal was multiplied by sqrt(alpha_bar).",
    ),
    Mistake(
        "scales the noise by 1 - alpha_bar, without the root",
        TwoTerms(lambda a, s: 1 / a, lambda a, s: -(s**2) / a),
        "1 - alpha_bar is the noise's variance; in x_k it is multiplied by the square root.",
    ),
    Mistake(
        "takes no square roots",
        TwoTerms(lambda a, s: 1 / a**2, lambda a, s: -(s**2) / a**2),
        "Both factors of the forward process are square roots. " + _SOLVE,
    ),
    Mistake(
        "exchanges the two factors",
        TwoTerms(lambda a, s: 1 / s, lambda a, s: -a / s),
        "That gives epsilon where x_0 is known. " + _SOLVE,
    ),
    Mistake(
        "divides x_k by a, but not the noise",
        TwoTerms(lambda a, s: 1 / a, lambda a, s: -s),
        "Mind the brackets: (x_k - s * epsilon) / a.",
    ),
    Mistake(
        "divides the noise by a, but not x_k",
        TwoTerms(lambda a, s: 1 + 0 * a, lambda a, s: -s / a),
        "Division binds before subtraction. Mind the brackets: (x_k - s * epsilon) / a.",
    ),
    Mistake(
        "uses the formula for a predicted v",
        TwoTerms(lambda a, s: a, lambda a, s: -s),
        "x_0 = a * x_k - s * v holds for v. For epsilon: " + _SOLVE,
    ),
    *_wrong_picks(_CLEAN),
)
