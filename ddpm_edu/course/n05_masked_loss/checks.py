"""Checks of notebook 05: which entries of a trajectory count in the loss, and what the sum is divided by."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function


def _cases(B: int, T: int, D: int, seed: int) -> tuple[Tensor, Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    prediction, target = torch.randn(2, B, T, D, generator=generator)
    return prediction, target, generator


# ------------------------------------------------------------------------------------------------
# given entries
# ------------------------------------------------------------------------------------------------


def masked_loss(function: Function) -> None:
    """Checks `function(prediction, target, condition_mask) -> loss ()`.

    Axes: prediction (B, T, D), target (B, T, D) and condition_mask (B, T, D), which is bool.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, T, D, Da) in enumerate(((4, 6, 5, 2), (2, 3, 4, 3), (3, 5, 5, 1))):
        prediction, target, generator = _cases(B, T, D, seed)
        # A different number of given entries in each sample: else two ways to average would agree.
        steps = torch.arange(T)[:, None] < torch.arange(1, B + 1)[:, None, None]  # (B, T, 1)
        mask = (steps & (torch.arange(D) >= Da)).expand(B, T, D).clone()  # (B, T, D)
        mask |= torch.rand(B, T, D, generator=generator) < 0.1
        cases.append({"prediction": prediction, "target": target, "condition_mask": mask})
    check_function(
        "masked_loss",
        function,
        _masked_loss,
        MASKED_LOSS_MISTAKES,
        cases,
        "Given entries add nothing, and the mean is over all entries, as in the reference.",
        tolerance=1e-5,
    )


def _squared(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square()  # (B, T, D)


def _masked_loss(prediction: Tensor, target: Tensor, condition_mask: Tensor) -> Tensor:
    squared = (prediction - target).square()  # (B, T, D)
    return (squared * ~condition_mask).mean()  # ()


_INVERSE = "True means given, and what is given is not to be learnt: the loss mask is ~condition_mask."
_ALL = "Here the mean is over all entries, given ones too: that is how policies are trained in the reference."

MASKED_LOSS_MISTAKES = (
    Mistake(
        "has the mask inverted: only given entries count",
        lambda p, t, m: (_squared(p, t) * m).mean(),
        _INVERSE,
    ),
    Mistake(
        "has the mask inverted, and divides by the given entries only",
        lambda p, t, m: (_squared(p, t) * m).sum() / m.sum(),
        f"{_INVERSE} {_ALL}",
    ),
    Mistake("leaves the mask out", lambda p, t, m: _squared(p, t).mean(), _INVERSE),
    Mistake(
        "takes the mean first and masks afterwards",
        lambda p, t, m: (_squared(p, t).mean() * ~m).mean(),
        "In the mean, given entries are mixed in already. Keep one error for each entry, mask, then average; "
        'F.mse_loss needs reduction="none" for that.',
    ),
    Mistake(
        "divides by the entries that count, not by all",
        lambda p, t, m: _squared(p, t)[~m].mean(),
        _ALL
        + " Yours compares across masks; section 5 shows both. Multiply by the mask, then take the mean.",
    ),
    Mistake(
        "divides by the steps B * T and forgets the last axis",
        lambda p, t, m: (_squared(p, t) * ~m).sum() / (m.shape[0] * m.shape[1]),
        "The sum runs over B * T * D entries: the loss becomes D times too large.",
    ),
    Mistake(
        "divides by the batch size only",
        lambda p, t, m: (_squared(p, t) * ~m).sum() / len(m),
        "The sum runs over B * T * D entries; the loss would grow with the horizon.",
    ),
    Mistake(
        "returns the sum",
        lambda p, t, m: (_squared(p, t) * ~m).sum(),
        "Then the learning rate would depend on the batch size. Take the mean.",
    ),
    Mistake(
        "returns one loss for each sample",
        lambda p, t, m: (_squared(p, t) * ~m).mean(dim=(1, 2)),
        "One number is wanted: take the mean over the batch too.",
    ),
    Mistake(
        "returns a loss for each entry",
        lambda p, t, m: _squared(p, t) * ~m,
        "One number is wanted: the mean over all entries.",
    ),
    Mistake(
        "averages the samples' own means over the entries that count",
        lambda p, t, m: ((_squared(p, t) * ~m).sum((1, 2)) / (~m).sum((1, 2))).mean(),
        _ALL,
    ),
    Mistake(
        "takes the absolute error",
        lambda p, t, m: ((p - t).abs() * ~m).mean(),
        "Squared errors teach the mean of what may have been; absolute ones the median. Square it.",
    ),
    Mistake(
        "masks the prediction but not the target",
        lambda p, t, m: _squared(p * ~m, t).mean(),
        "Then given entries cost the target's square. Mask the squared difference.",
    ),
    Mistake(
        "masks the target but not the prediction",
        lambda p, t, m: _squared(p, t * ~m).mean(),
        "Then given entries are drawn to zero. Mask the squared difference.",
    ),
)


# ------------------------------------------------------------------------------------------------
# padded steps
# ------------------------------------------------------------------------------------------------


def padded_loss(function: Function) -> None:
    """Checks `function(prediction (B, T, Da), target (B, T, Da), is_pad (B, T)) -> loss ()`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, T, Da) in enumerate(((4, 6, 3), (3, 3, 2), (4, 4, 4))):
        prediction, target, _ = _cases(B, T, Da, seed + 10)
        is_pad = torch.arange(T) >= T - torch.arange(B)[:, None].clamp(max=T - 1)  # (B, T)
        is_pad = is_pad.flip(0)  # the first sample has padding, the last has none
        cases.append({"prediction": prediction, "target": target, "is_pad": is_pad})
    check_function(
        "padded_loss",
        function,
        _padded_loss,
        PADDED_LOSS_MISTAKES,
        cases,
        "Padded steps count neither above nor below the line.",
        tolerance=1e-5,
    )


def _padded_loss(prediction: Tensor, target: Tensor, is_pad: Tensor) -> Tensor:
    counts = (~is_pad)[..., None].expand_as(prediction)  # (B, T, Da)
    squared = (prediction - target).square() * counts  # (B, T, Da)
    return squared.sum() / counts.sum()  # ()


def _kept(prediction: Tensor, target: Tensor, is_pad: Tensor) -> Tensor:
    return _squared(prediction, target) * ~is_pad[..., None]  # (B, T, Da)


_DIVISOR = "Divide by the entries that count: real steps times the action dimensions Da."

PADDED_LOSS_MISTAKES = (
    Mistake(
        "counts padded steps too: the mask is left out",
        lambda p, t, pad: _squared(p, t).mean(),
        "is_pad is True at repeated steps; they are no demonstration of anything.",
    ),
    Mistake(
        "has the mask inverted: only padded steps count",
        lambda p, t, pad: _squared(p, t)[pad].mean(),
        "is_pad is True where a step is repeated: those are to be left out, ~is_pad counts.",
    ),
    Mistake(
        "divides by the real steps and forgets the action dimension",
        lambda p, t, pad: _kept(p, t, pad).sum() / (~pad).sum(),
        "The sum holds Da entries for each step, so this is Da times too large, as in a draft of "
        "LeRobot's pull request 3377. " + _DIVISOR,
    ),
    Mistake(
        "divides by all entries, padded ones too",
        lambda p, t, pad: _kept(p, t, pad).mean(),
        "Then the loss is smaller where more is padded, whatever the network does. " + _DIVISOR,
    ),
    Mistake("returns the sum", lambda p, t, pad: _kept(p, t, pad).sum(), _DIVISOR),
    Mistake("divides by the batch size only", lambda p, t, pad: _kept(p, t, pad).sum() / len(pad), _DIVISOR),
    Mistake(
        "divides by all steps B * T",
        lambda p, t, pad: _kept(p, t, pad).sum() / pad.numel(),
        "Two slips: padded steps are counted, and the action dimension is not. " + _DIVISOR,
    ),
    Mistake(
        "takes each sample's mean first, and then the mean of those",
        lambda p, t, pad: (_kept(p, t, pad).sum((1, 2)) / ((~pad).sum(1) * p.shape[2])).mean(),
        "Then a step weighs more in a window with much padding. Here every real step weighs the same.",
    ),
    Mistake(
        "lines the mask (B, T) up with the last two axes",
        lambda p, t, pad: (_squared(p, t) * ~pad).sum() / ((~pad).sum() * p.shape[2]),
        "Broadcasting aligns the last axes; it only fails where (B, T) is not (T, Da). "
        "The mask needs an axis more: is_pad[..., None] is (B, T, 1).",
    ),
)
