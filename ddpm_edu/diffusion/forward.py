"""The forward process: from a clean trajectory to noise. Ho et al. 2020, equations 2 and 4."""

from __future__ import annotations

from torch import Tensor

from ddpm_edu.diffusion.schedule import NoiseSchedule


def add_noise(schedule: NoiseSchedule, clean: Tensor, noise: Tensor, timestep: int | Tensor) -> Tensor:
    """Draws x_k from q(x_k | x_0) = N(sqrt(alpha_bar_k) x_0, (1 - alpha_bar_k) I) at once (equation 4).

    Args:
        schedule: the betas.
        clean: (B, ...) x_0.
        noise: (B, ...) epsilon, standard normal.
        timestep: int, () or (B,): k in [0, K).

    Returns:
        (B, ...) x_k; equal to `add_noise` of a diffusers scheduler with the same betas.

    Raises:
        ConfigError: if a step lies outside [0, K).
    """
    signal_scale = schedule.at(schedule.signal_scale, timestep, like=clean)
    noise_scale = schedule.at(schedule.noise_scale, timestep, like=clean)
    return signal_scale * clean + noise_scale * noise


def add_noise_one_step(
    schedule: NoiseSchedule, previous: Tensor, noise: Tensor, timestep: int | Tensor
) -> Tensor:
    """Draws x_k from q(x_k | x_{k-1}) = N(sqrt(1 - beta_k) x_{k-1}, beta_k I) (equation 2).

    Args:
        schedule: the betas.
        previous: (B, ...) x_{k-1}; the clean trajectory for k = 0.
        noise: (B, ...) standard normal, fresh at every step.
        timestep: int, () or (B,): k in [0, K).

    Returns:
        (B, ...) x_k.

    Raises:
        ConfigError: if a step lies outside [0, K).
    """
    alpha = schedule.at(schedule.alpha, timestep, like=previous)
    beta = schedule.at(schedule.beta, timestep, like=previous)
    return alpha.sqrt() * previous + beta.sqrt() * noise


def signal_to_noise(schedule: NoiseSchedule, timestep: int | Tensor, like: Tensor) -> Tensor:
    """alpha_bar_k / (1 - alpha_bar_k): how much stronger the signal is than the noise, as variances.

    Args:
        schedule: the betas.
        timestep: int, () or (B,): k in [0, K).
        like: (B, ...), gives dtype, device and the number of axes.

    Returns:
        (B, 1, ...) or (1, 1, ...).

    Raises:
        ConfigError: if a step lies outside [0, K).
    """
    return schedule.at(schedule.signal_to_noise, timestep, like=like)
