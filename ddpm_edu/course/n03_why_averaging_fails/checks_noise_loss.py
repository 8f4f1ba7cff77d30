"""Checks of notebook 03: the loss of a network that predicts noise, and known mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import (
    Arguments,
    Function,
    Mistake,
    check_function,
    failure,
    outcome,
    same,
)

ALPHA_BAR = torch.tensor([0.95, 0.8, 0.55, 0.3, 0.12, 0.02])  # (K,)


def _denoise(noisy: Tensor, timestep: Any) -> Tensor:
    """Any function of both will do, as long as each k gives another answer."""
    return torch.tanh(noisy) * (0.3 + 0.1 * torch.as_tensor(timestep).reshape(-1, 1, 1))


def noise_loss(function: Function) -> None:
    """Checks `function(denoise, clean, noise, timestep (B,), alpha_bar (K,)) -> loss ()`.

    Axes: clean (B, T, Da) and noise (B, T, Da).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(3)
    cases: list[Arguments] = []
    # B = T and B = Da among them: for these sizes a scale that lacks its axes broadcasts without an error.
    for B, T, Da, K in ((5, 4, 3, 6), (4, 4, 2, 5), (3, 6, 3, 6)):
        clean, noise = torch.randn(2, B, T, Da, generator=generator)
        timestep = torch.randint(K, (B,), generator=generator)
        timestep[0], timestep[-1] = K - 1, 0
        given = {"clean": 0.5 * clean, "noise": noise, "timestep": timestep, "alpha_bar": ALPHA_BAR[:K]}
        cases.append({"denoise": _denoise, **given})

    scale = torch.ones((), requires_grad=True)
    learning = {**cases[0], "denoise": lambda noisy, k: scale * _denoise(noisy, k)}
    answer, right = outcome(function, learning, quiet=True), outcome(_noise_loss, learning)
    if same(answer, right, 1e-5) and not (isinstance(answer, Tensor) and answer.requires_grad):
        raise failure(
            "noise_loss",
            "The number is right, but it carries no gradient: nothing could be learnt from it.",
            "Leave out `.item()`, `.detach()`, numpy and `torch.no_grad()`: training calls backward on it.",
        )
    check_function(
        "noise_loss",
        function,
        _noise_loss,
        NOISE_LOSS_MISTAKES,
        cases,
        "Each trajectory at its own k; what is compared is the noise.",
        tolerance=1e-5,
    )


def _noise_loss(
    denoise: Function, clean: Tensor, noise: Tensor, timestep: Tensor, alpha_bar: Tensor
) -> Tensor:
    share = alpha_bar[timestep].reshape(-1, 1, 1)  # (B, 1, 1)
    noisy = share.sqrt() * clean + (1 - share).sqrt() * noise  # (B, T, Da)
    prediction = denoise(noisy, timestep)  # (B, T, Da)
    return (prediction - noise).square().mean()  # ()


def _mean_square(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square().mean()


@dataclass(frozen=True)
class NoiseLoss:
    """The loss of Ho et al. 2020, equation 14, right or with a part put wrong."""

    shares: Callable[[Tensor, Tensor], Tensor] = lambda alpha_bar, k: alpha_bar[k].reshape(-1, 1, 1)
    mix: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda x, e, a: a.sqrt() * x + (1 - a).sqrt() * e
    told: Callable[[Tensor], Tensor] = lambda k: k
    target: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda clean, noise, noisy: noise
    distance: Callable[[Tensor, Tensor], Tensor] = _mean_square

    def __call__(
        self, denoise: Function, clean: Tensor, noise: Tensor, timestep: Tensor, alpha_bar: Tensor
    ) -> Tensor:
        noisy = self.mix(clean, noise, self.shares(alpha_bar, timestep))  # (B, T, Da)
        prediction = denoise(noisy, self.told(timestep))  # (B, T, Da)
        return self.distance(prediction, self.target(clean, noise, noisy))  # ()


_MIX = (
    "noisy = alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise, with the alpha_bar of each one's k."
)
_AXES = (
    "Broadcasting aligns the last axes. "
    "Each trajectory needs one share: alpha_bar[timestep].reshape(-1, 1, 1)."
)
_TARGET = "The network is asked which noise was mixed in, and that noise was handed to you."
NOISE_LOSS_MISTAKES = (
    Mistake(
        "compares the prediction with the clean trajectory",
        NoiseLoss(target=lambda clean, noise, noisy: clean),
        _TARGET,
    ),
    Mistake(
        "compares the prediction with the noisy trajectory",
        NoiseLoss(target=lambda clean, noise, noisy: noisy),
        _TARGET,
    ),
    Mistake(
        "compares the noise with the noisy trajectory: the prediction is not used",
        lambda denoise, clean, noise, k, alpha_bar: _mean_square(
            NoiseLoss().mix(clean, noise, alpha_bar[k].reshape(-1, 1, 1)), noise
        ),
        "The network must be asked: prediction = denoise(noisy, timestep).",
    ),
    Mistake(
        "shows the network the clean trajectory",
        NoiseLoss(mix=lambda x, e, a: x),
        "In what is clean there is no noise to find. " + _MIX,
    ),
    Mistake("shows the network pure noise", NoiseLoss(mix=lambda x, e, a: e), _MIX),
    Mistake(
        "adds the noise without scaling anything",
        NoiseLoss(mix=lambda x, e, a: x + e),
        "Read literally, the paper's A + epsilon says so; k stands for the two scales. " + _MIX,
    ),
    Mistake("takes no square roots", NoiseLoss(mix=lambda x, e, a: a * x + (1 - a) * e), _MIX),
    Mistake(
        "has the two scales swapped",
        NoiseLoss(mix=lambda x, e, a: (1 - a).sqrt() * x + a.sqrt() * e),
        "alpha_bar is the signal's share: it belongs to `clean`. " + _MIX,
    ),
    Mistake(
        "leaves the scale of the trajectory out",
        NoiseLoss(mix=lambda x, e, a: x + (1 - a).sqrt() * e),
        _MIX,
    ),
    Mistake(
        "uses the first trajectory's k for the whole batch",
        NoiseLoss(shares=lambda alpha_bar, k: alpha_bar[k[0]]),
        "Each trajectory of a batch has its own k: alpha_bar[timestep] picks them all.",
    ),
    Mistake(
        "takes alpha_bar[k - 1]",
        NoiseLoss(shares=lambda alpha_bar, k: alpha_bar[k - 1].reshape(-1, 1, 1)),
        "k counts from 0 here: alpha_bar[0] already holds one step of noise.",
    ),
    Mistake(
        "broadcasts the shares (B,) along the last axis",
        NoiseLoss(shares=lambda alpha_bar, k: alpha_bar[k]),
        _AXES,
    ),
    Mistake(
        "broadcasts the shares (B, 1) along the time axis",
        NoiseLoss(shares=lambda alpha_bar, k: alpha_bar[k][:, None]),
        _AXES,
    ),
    Mistake(
        "does not tell the network k: it always says 0",
        NoiseLoss(told=torch.zeros_like),
        "A network must know how noisy its input is: denoise(noisy, timestep).",
    ),
    Mistake(
        "tells the network one k for the whole batch",
        NoiseLoss(told=lambda k: k[:1]),
        "Each trajectory has its own: hand over the whole `timestep` (B,).",
    ),
    Mistake(
        "takes the absolute error",
        NoiseLoss(distance=lambda p, t: (p - t).abs().mean()),
        "Square the difference, then average.",
    ),
    Mistake(
        "adds the squares up in place of averaging them",
        NoiseLoss(distance=lambda p, t: (p - t).square().sum()),
        "The mean over all entries keeps the loss's size for every batch and horizon.",
    ),
    Mistake(
        "takes the root of the loss",
        NoiseLoss(distance=lambda p, t: (p - t).square().mean().sqrt()),
        "No root: the plain mean of the squares is the loss.",
    ),
    Mistake(
        "averages first and squares afterwards",
        NoiseLoss(distance=lambda p, t: (p - t).mean().square()),
        "Positive and negative differences cancel in the mean. Square first.",
    ),
    Mistake(
        "returns one loss for each trajectory",
        NoiseLoss(distance=lambda p, t: (p - t).square().mean(dim=(1, 2))),
        "One number is wanted: the mean over the batch, too.",
    ),
    Mistake(
        "returns every entry's squared error",
        NoiseLoss(distance=lambda p, t: (p - t).square()),
        "One number is wanted: take the mean over all entries.",
    ),
)
