"""What is given and what is denoised: condition masks, and a loss that leaves entries out.

With inpainting the trajectory holds actions and observation features side by side, [action | observation]
along the last axis. A condition mask is True where an entry is *given*: it is written into the trajectory
before every denoising step and gets no loss. The loss mask is its inverse.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ddpm_edu.errors import ConfigError


def make_condition_mask(
    batch_size: int,
    horizon: int,
    action_dim: int,
    obs_feature_dim: int,
    n_obs_steps: int,
    fix_obs_steps: bool = True,
    past_action_visible: bool = False,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Which entries of [action | observation] trajectories are given.

        step           0    1    2    3        with n_obs_steps = 2
        observation    #    #    .    .        # given
        action         #    .    .    .        . denoised (the # only with past_action_visible)

    The last observation is now; its action is what the policy is asked for, so one action fewer is given.

    Args:
        batch_size: B.
        horizon: T.
        action_dim: Da.
        obs_feature_dim: Do.
        n_obs_steps: To, the number of observation steps that are given.
        fix_obs_steps: True gives To steps to each sample; False a random number from 1 to To to each.
        past_action_visible: give the actions before the last given observation too.
        generator: where the random numbers come from; without one, torch's global state. A new
            `torch.Generator()` per call would give the same "random" mask every time: its seed is constant.
        device: where the mask is needed.

    Returns:
        (B, T, Da+Do) bool, True where given.

    Raises:
        ConfigError: if To does not lie between 1 and T.
    """
    if not 1 <= n_obs_steps <= horizon:
        raise ConfigError(f"n_obs_steps is {n_obs_steps}; it must lie between 1 and the horizon {horizon}")
    B, T = batch_size, horizon
    if fix_obs_steps:
        given_steps = torch.full((B,), n_obs_steps)
    else:
        # Drawn on the generator's own device, so that one seed gives one mask wherever it is needed.
        source = generator.device if generator is not None else torch.device("cpu")
        given_steps = torch.randint(1, n_obs_steps + 1, (B,), generator=generator, device=source)
    given_steps = given_steps.to(device)[:, None, None]  # (B, 1, 1)

    step = torch.arange(T, device=device)[None, :, None]  # (1, T, 1)
    obs_given = (step < given_steps).expand(B, T, obs_feature_dim)  # (B, T, Do)
    action_given = (step < given_steps - 1).expand(B, T, action_dim)  # (B, T, Da)
    if not past_action_visible:
        action_given = torch.zeros_like(action_given)
    return torch.cat([action_given, obs_given], dim=-1)  # (B, T, Da+Do)


def clamp_conditioned(trajectory: Tensor, condition_data: Tensor, condition_mask: Tensor | None) -> Tensor:
    """Writes the given entries into a trajectory; with no mask the trajectory passes through.

    `torch.where` instead of indexing with the mask: indexing makes a GPU wait for the mask's count.

    Args:
        trajectory: (B, T, D).
        condition_data: (B, T, D); read under the mask only.
        condition_mask: (B, T, D) bool, or None when nothing is given.

    Returns:
        (B, T, D), a new tensor unless the mask is None.
    """
    if condition_mask is None:
        return trajectory
    return torch.where(condition_mask, condition_data, trajectory)


def masked_mse(
    prediction: Tensor,
    target: Tensor,
    loss_mask: Tensor | None = None,
    is_pad: Tensor | None = None,
    reduction: Literal["mean", "per_sample", "none"] = "mean",
    denominator: Literal["all", "unmasked"] = "all",
) -> Tensor:
    """Mean squared error over the entries that count.

    Entries outside the loss mask contribute exactly zero, to the loss and to the gradient, whatever stands
    there (NaN included). What the sum is divided by is a choice:

    - "all": by every element, masked ones too. This is what the reference and the project's outline do; the
      more is given, the smaller the loss looks, and the weaker its gradient.
    - "unmasked": by the elements that count, so the number compares across masks.

    Padded steps repeat the edge of an episode; when `is_pad` is given they count in neither the sum nor the
    divisor, for both choices. The divisor counts elements, steps times the last axis: dividing by
    steps alone makes the loss Da times too large.

    Args:
        prediction: (B, T, D).
        target: (B, T, D).
        loss_mask: bool, (B, T, D) or anything that broadcasts to it; True where the loss counts.
        is_pad: (B, T) bool, True at padded steps.
        reduction: "mean" over everything, "per_sample", or "none".
        denominator: "all" or "unmasked"; without effect for "none".

    Returns:
        (), (B,) or (B, T, D). 0 where nothing counts.

    Raises:
        ConfigError: for shapes that do not fit, masks that are not bool, and unknown choices.
    """
    _check_loss_arguments(prediction, target, loss_mask, is_pad, reduction, denominator)
    counts = torch.ones_like(prediction, dtype=torch.bool)  # (B, T, D)
    if is_pad is not None:
        counts = counts & ~is_pad.reshape(*is_pad.shape, *[1] * (prediction.ndim - is_pad.ndim))
    divisor_counts = counts
    if loss_mask is not None:
        counts = counts & loss_mask
    if denominator == "unmasked":
        divisor_counts = counts

    # Masked before squaring, so that a NaN under the mask reaches neither the sum nor the gradient.
    difference = torch.where(counts, prediction - target, torch.zeros_like(prediction))
    squared = difference.square()  # (B, T, D)
    if reduction == "none":
        return squared
    if reduction == "per_sample":
        return squared.flatten(1).sum(1) / divisor_counts.flatten(1).sum(1).clamp(min=1)  # (B,)
    return squared.sum() / divisor_counts.sum().clamp(min=1)  # ()


def _check_loss_arguments(
    prediction: Tensor,
    target: Tensor,
    loss_mask: Tensor | None,
    is_pad: Tensor | None,
    reduction: str,
    denominator: str,
) -> None:
    if reduction not in ("mean", "per_sample", "none"):
        raise ConfigError(f"reduction is {reduction!r}; it must be 'mean', 'per_sample' or 'none'")
    if denominator not in ("all", "unmasked"):
        raise ConfigError(f"denominator is {denominator!r}; it must be 'all' or 'unmasked'")
    shape = tuple(prediction.shape)
    # Without this, broadcasting would turn (B, T, 1) against (B, T, D) into a plausible wrong number.
    if tuple(target.shape) != shape:
        raise ConfigError(f"target has shape {tuple(target.shape)}, prediction {shape}; they must be equal")
    if prediction.numel() == 0:
        raise ConfigError(f"prediction has shape {shape}: a batch with no samples has no loss")
    for name, mask in (("loss_mask", loss_mask), ("is_pad", is_pad)):
        if mask is not None and mask.dtype != torch.bool:
            raise ConfigError(f"{name} is of type {mask.dtype}; it must be bool")
    if loss_mask is not None:
        fits = loss_mask.ndim == len(shape) and all(
            m in (1, n) for m, n in zip(loss_mask.shape, shape, strict=True)
        )
        if not fits:
            raise ConfigError(
                f"loss_mask has shape {tuple(loss_mask.shape)}; it must be {shape}, or 1 along some axes"
            )
    if is_pad is not None and tuple(is_pad.shape) != shape[:2]:
        raise ConfigError(f"is_pad has shape {tuple(is_pad.shape)}; it must be (B, T) = {shape[:2]}")
