"""Check of notebook 05: a training step's loss as a whole, for any target and with both kinds of masks."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function

_KINDS = ("epsilon", "sample", "v_prediction")


def training_loss(function: Function) -> None:
    """Checks `function(predict, kind, clean, noise, timestep, alpha_bar, given, is_pad) -> loss ()`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (kind, (B, T, D)) in enumerate(zip(_KINDS, ((3, 5, 4), (4, 6, 2), (2, 4, 3)), strict=True)):
        generator = torch.Generator().manual_seed(seed)
        clean, noise = torch.randn(2, B, T, D, generator=generator)
        given = torch.zeros(B, T, D, dtype=torch.bool)
        given[:, :2, 1:] = True
        is_pad = torch.arange(T) >= torch.tensor([T, T - 2, T - 1, T])[:B, None]  # (B, T)
        cases.append(
            {
                "predict": _network,
                "kind": kind,
                "clean": clean,
                "noise": noise,
                "timestep": torch.tensor([1, 6, 3, 0])[:B],
                "alpha_bar": torch.linspace(0.95, 0.1, 8),
                "given": given,
                "is_pad": is_pad,
            }
        )
    check_function(
        "training_loss",
        function,
        _training_loss,
        TRAINING_LOSS_MISTAKES,
        cases,
        "Three targets, two masks, one loss: this is what a policy's compute_loss does.",
    )


def _network(noisy: Tensor, timestep: Tensor) -> Tensor:
    """Answers otherwise at other steps, and at each entry by its neighbours, too."""
    return noisy.tanh() * (1 + timestep.reshape(-1, 1, 1) / 8) + 0.3 * noisy.roll(1, dims=1)


def _training_loss(
    predict: Function,
    kind: str,
    clean: Tensor,
    noise: Tensor,
    timestep: Tensor,
    alpha_bar: Tensor,
    given: Tensor,
    is_pad: Tensor,
    written: bool = True,
    early: bool = False,
    always_noise: bool = False,
    plus: bool = False,
    mask_given: bool = True,
    mask_padded: bool = True,
    over_all: bool = False,
    rooted: bool = True,
    value: float | None = None,
) -> Tensor:
    """The right loss; each option is a mistake."""
    share = alpha_bar[timestep].reshape(-1, 1, 1)  # (B, 1, 1)
    a, s = share.sqrt(), (1 - share).sqrt()
    if early:
        noise = torch.where(given, torch.zeros_like(noise), noise)
    noisy = a * clean + s * noise if rooted else share * clean + (1 - share) * noise  # (B, T, D)
    if written and not early:
        noisy = torch.where(given, clean if value is None else torch.full_like(clean, value), noisy)
    prediction = predict(noisy, timestep)  # (B, T, D)
    target = noise
    if kind == "sample" and not always_noise:
        target = clean
    if kind == "v_prediction" and not always_noise:
        target = a * noise + s * clean if plus else a * noise - s * clean
    counts = torch.ones_like(given)
    if mask_given:
        counts = counts & ~given
    if mask_padded:
        counts = counts & ~is_pad[..., None]
    squared = (prediction - target).square() * counts
    return squared.mean() if over_all else squared.sum() / counts.sum()


TRAINING_LOSS_MISTAKES = (
    Mistake(
        "compares with the noise, whatever `kind` says",
        lambda *a: _training_loss(*a, always_noise=True),
        '"sample" wants the clean trajectory as the target, "v_prediction" wants a · noise - s · clean.',
    ),
    Mistake(
        "adds the two parts of v",
        lambda *a: _training_loss(*a, plus=True),
        "v = a · noise - s · clean: a minus.",
    ),
    Mistake(
        "leaves given entries noisy in the network's input",
        lambda *a: _training_loss(*a, written=False),
        "The sampler writes them in clean, so training must: torch.where(given, clean, noisy).",
    ),
    Mistake(
        "mixes clean and noise without the roots",
        lambda *a: _training_loss(*a, rooted=False),
        "Shares are of variance. What multiplies a trajectory is their root.",
    ),
    Mistake(
        "writes zeros in the place of given entries",
        lambda *a: _training_loss(*a, value=0.0),
        "Their clean values are what the network is told: torch.where(given, clean, noisy).",
    ),
    Mistake(
        "gives given entries no noise, but shrinks them all the same",
        lambda *a: _training_loss(*a, early=True),
        "a · clean is not clean. Write the clean values over the given entries after the noise is mixed in.",
    ),
    Mistake(
        "counts given entries",
        lambda *a: _training_loss(*a, mask_given=False),
        "What is given need not be predicted: leave it out of the sum and of the number.",
    ),
    Mistake(
        "counts padded steps",
        lambda *a: _training_loss(*a, mask_padded=False),
        "`is_pad[..., None]` is (B, T, 1): a padded step counts in none of its D entries.",
    ),
    Mistake(
        "divides by the number of all entries",
        lambda *a: _training_loss(*a, over_all=True),
        "Here the mean is over the entries that count: sum(...) / counts.sum().",
    ),
)
