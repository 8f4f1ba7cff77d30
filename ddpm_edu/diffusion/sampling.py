"""The way back: from noise to a trajectory, one denoising step at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.diffusion.masking import clamp_conditioned
from ddpm_edu.diffusion.parameterization import convert_prediction
from ddpm_edu.diffusion.schedule import NoiseSchedule
from ddpm_edu.errors import ConfigError

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(noisy trajectory (B, T, D), time ()) -> prediction (B, T, D)."""

Callback = Callable[[int, float, Tensor], None]
"""(step_index, time, trajectory (B, T, D)): before each denoising step, and at the end with time -1."""


# ------------------------------------------------------------------------------------------------
# the loop
# ------------------------------------------------------------------------------------------------


@torch.no_grad()
def sample(
    denoise: Denoise,
    noise_scheduler: Any,
    condition_data: Tensor,
    condition_mask: Tensor | None,
    num_inference_steps: int,
    generator: torch.Generator | list[torch.Generator] | None = None,
    callback: Callback | None = None,
    **step_kwargs: Any,
) -> Tensor:
    """Denoises a batch of trajectories from pure noise, keeping the given entries as they are.

    Args:
        denoise: the prediction for a noisy trajectory; what else it needs (observations) is bound in it.
        noise_scheduler: any diffusers scheduler; its state is set for `num_inference_steps`.
        condition_data: (B, T, D); gives shape, dtype and device, and the given entries under the mask.
        condition_mask: (B, T, D) bool, True where an entry is given, or None. Given entries are written
            before each step and once at the end, so they come out exactly as they went in.
        num_inference_steps: denoising steps, between 1 and K.
        generator: makes the result reproducible: the first noise and that of each step come from it. A
            list has one for each of the B trajectories, so that none depends on its neighbours.
        callback: called num_inference_steps + 1 times with (step_index, timestep, trajectory): before
            step i with the noisy trajectory at its level `timestep`, and at the end, as step
            num_inference_steps at timestep -1, with the result. It may keep the tensors, not write to them.
        **step_kwargs: for `noise_scheduler.step`, for example `eta` of DDIM.

    Returns:
        (B, T, D).

    Raises:
        ConfigError: for a mask that is not bool or not of the data's shape, and for a number of steps
            outside [1, K].
    """
    _check_sample_arguments(noise_scheduler, condition_data, condition_mask, num_inference_steps)
    if "generator" in inspect.signature(noise_scheduler.step).parameters:  # not all schedulers draw noise
        step_kwargs["generator"] = generator

    noise_scheduler.set_timesteps(num_inference_steps, device=condition_data.device)
    trajectory = standard_normal(condition_data, generator)  # (B, T, D)
    trajectory = trajectory * noise_scheduler.init_noise_sigma

    for step_index, timestep in enumerate(noise_scheduler.timesteps):
        # 1. the given entries are given at every noise level
        trajectory = clamp_conditioned(trajectory, condition_data, condition_mask)
        if callback is not None:
            callback(step_index, int(timestep), trajectory)

        # 2. what noise is in it?
        prediction = denoise(noise_scheduler.scale_model_input(trajectory, timestep), timestep)

        # 3. a little less of it: x_k -> x_{k-1}
        trajectory = noise_scheduler.step(prediction, timestep, trajectory, **step_kwargs).prev_sample

    trajectory = clamp_conditioned(trajectory, condition_data, condition_mask)
    if callback is not None:
        callback(len(noise_scheduler.timesteps), -1, trajectory)
    return trajectory


def standard_normal(like: Tensor, generator: torch.Generator | list[torch.Generator] | None) -> Tensor:
    """Drawn on the generator's device, so that one seed gives one result on every device."""
    if isinstance(generator, list):
        if len(generator) != like.shape[0]:
            raise ConfigError(
                f"there are {len(generator)} generators for a batch of {like.shape[0]} trajectories"
            )
        return torch.stack([standard_normal(row, own) for row, own in zip(like, generator, strict=True)])
    device = generator.device if generator is not None else like.device
    return torch.randn(like.shape, dtype=like.dtype, device=device, generator=generator).to(like.device)


def _check_sample_arguments(
    noise_scheduler: Any, condition_data: Tensor, condition_mask: Tensor | None, num_inference_steps: int
) -> None:
    K = noise_scheduler.config.num_train_timesteps
    if not 1 <= num_inference_steps <= K:
        raise ConfigError(f"num_inference_steps is {num_inference_steps}; it must lie between 1 and K = {K}")
    check_condition_mask(condition_data, condition_mask)


def check_condition_mask(condition_data: Tensor, condition_mask: Tensor | None) -> None:
    """Refuses a mask that does not belong to the data.

    Raises:
        ConfigError: for a mask that is not bool, or not of the data's shape.
    """
    if condition_mask is None:
        return
    if condition_mask.dtype != torch.bool:
        raise ConfigError(f"condition_mask is of type {condition_mask.dtype}; it must be bool")
    if condition_mask.shape != condition_data.shape:
        raise ConfigError(
            f"condition_mask has shape {tuple(condition_mask.shape)}, condition_data "
            f"{tuple(condition_data.shape)}; they must be equal"
        )


# ------------------------------------------------------------------------------------------------
# single steps, written out
# ------------------------------------------------------------------------------------------------


def ddpm_step(
    schedule: NoiseSchedule,
    prediction: Tensor,
    timestep: int,
    noisy: Tensor,
    noise: Tensor,
    previous_timestep: int | None = None,
    prediction_type: str = "epsilon",
    clip_sample: bool = True,
) -> Tensor:
    """One stochastic step x_k -> x_j, j < k: a draw from q(x_j | x_k, x_0) (Ho et al. 2020, equations 6, 7).

    Equal to `DDPMScheduler.step` with variance "fixed_small" and the same noise.

    Args:
        schedule: the betas.
        prediction: (B, ...) what the denoiser said.
        timestep: k.
        noisy: (B, ...) x_k.
        noise: (B, ...) standard normal; not used by the last step.
        previous_timestep: j; k - 1 if not given. -1 means the clean trajectory.
        prediction_type: "epsilon", "sample" or "v_prediction".
        clip_sample: clip the predicted x_0 to [-1, 1].

    Returns:
        (B, ...) x_j.
    """
    clean = _predicted_clean(schedule, prediction, timestep, noisy, prediction_type, clip_sample)
    alpha_bar, alpha_bar_previous = _alpha_bars(schedule, timestep, previous_timestep)
    alpha = alpha_bar / alpha_bar_previous  # of the whole jump from j to k
    beta = 1 - alpha

    clean_weight = alpha_bar_previous**0.5 * beta / (1 - alpha_bar)
    noisy_weight = alpha**0.5 * (1 - alpha_bar_previous) / (1 - alpha_bar)
    variance = (1 - alpha_bar_previous) / (1 - alpha_bar) * beta  # 0 when x_j is clean
    return clean_weight * clean + noisy_weight * noisy + variance**0.5 * noise


def ddim_step(
    schedule: NoiseSchedule,
    prediction: Tensor,
    timestep: int,
    noisy: Tensor,
    previous_timestep: int | None = None,
    prediction_type: str = "epsilon",
    clip_sample: bool = True,
) -> Tensor:
    """One deterministic step x_k -> x_j, j < k (Song et al. 2020, "DDIM", equation 12 with sigma = 0).

    The same noise is kept and scaled down to the level of step j. Equal to `DDIMScheduler.step` with
    eta = 0 and set_alpha_to_one; like it, epsilon is not recomputed after x_0 was clipped.

    Args:
        schedule: the betas.
        prediction: (B, ...) what the denoiser said.
        timestep: k.
        noisy: (B, ...) x_k.
        previous_timestep: j; k - 1 if not given. -1 means the clean trajectory.
        prediction_type: "epsilon", "sample" or "v_prediction".
        clip_sample: clip the predicted x_0 to [-1, 1].

    Returns:
        (B, ...) x_j.
    """
    clean = _predicted_clean(schedule, prediction, timestep, noisy, prediction_type, clip_sample)
    epsilon = convert_prediction(schedule, prediction, noisy, timestep, prediction_type, "epsilon")
    _, alpha_bar_previous = _alpha_bars(schedule, timestep, previous_timestep)
    return ddim_update(clean, epsilon, alpha_bar_previous)


def ddim_update(clean: Tensor, epsilon: Tensor, alpha_bar: Any, sigma: Any = 0.0) -> Tensor:
    """The mean of x_j, from what x_k says about the clean trajectory and the noise (DDIM, equation 12).

    Args:
        clean: (B, ...) predicted x_0.
        epsilon: (B, ...) predicted noise.
        alpha_bar: alpha_bar_j.
        sigma: deviation of the fresh noise that will be added and takes the place of some of epsilon.
    """
    return alpha_bar**0.5 * clean + (1 - alpha_bar - sigma**2) ** 0.5 * epsilon


def _predicted_clean(
    schedule: NoiseSchedule,
    prediction: Tensor,
    timestep: int,
    noisy: Tensor,
    prediction_type: str,
    clip_sample: bool,
) -> Tensor:
    clean = convert_prediction(schedule, prediction, noisy, timestep, prediction_type, "sample")
    return clean.clamp(-1, 1) if clip_sample else clean


def _alpha_bars(schedule: NoiseSchedule, timestep: int, previous: int | None) -> tuple[float, float]:
    """alpha_bar at k and at j; before the first step all is signal: alpha_bar_{-1} = 1."""
    previous = timestep - 1 if previous is None else previous
    if not -1 <= previous < timestep:
        raise ConfigError(f"previous_timestep is {previous}; it must lie between -1 and {timestep - 1}")
    alpha_bar = schedule.alpha_bar_float64
    return float(alpha_bar[timestep]), 1.0 if previous < 0 else float(alpha_bar[previous])
