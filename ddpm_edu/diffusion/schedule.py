"""How much noise each diffusion step adds, from scratch and as diffusers' schedulers.

A trajectory x_0 becomes noise in K steps. Step k (counted from 0, as in diffusers) keeps a share alpha_k of
the variance and adds beta_k = 1 - alpha_k of fresh noise; after k steps the share alpha_bar_k, the product of
the alphas, is left. Ho et al. 2020, "Denoising Diffusion Probabilistic Models", equations 2 to 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.diffusion.noise_schedulers import NOISE_SCHEDULERS
from ddpm_edu.errors import ConfigError
from ddpm_edu.settings import at_least, one_of

# ------------------------------------------------------------------------------------------------
# beta schedules
# ------------------------------------------------------------------------------------------------

DEFAULT_BETA_START, DEFAULT_BETA_END = 1e-4, 0.02
"""The range of Ho et al. 2020, section 4, which was chosen for K = 1000."""


def linear_betas(
    num_train_timesteps: int, beta_start: float = DEFAULT_BETA_START, beta_end: float = DEFAULT_BETA_END
) -> Tensor:
    """Betas that grow evenly (Ho et al. 2020, section 4).

    With few steps and this range much signal is left at the end: K = 100 leaves alpha_bar = 0.36.

    Returns:
        (K,) float64.
    """
    return torch.linspace(beta_start, beta_end, num_train_timesteps, dtype=torch.float64)


def scaled_linear_betas(
    num_train_timesteps: int, beta_start: float = DEFAULT_BETA_START, beta_end: float = DEFAULT_BETA_END
) -> Tensor:
    """Betas whose square roots grow evenly (Rombach et al. 2022, "Latent Diffusion Models").

    Returns:
        (K,) float64.
    """
    return linear_betas(num_train_timesteps, math.sqrt(beta_start), math.sqrt(beta_end)) ** 2


def squared_cosine_betas(num_train_timesteps: int, max_beta: float = 0.999) -> Tensor:
    """Betas under which alpha_bar falls like a squared cosine (Nichol & Dhariwal 2021, equation 17).

    The curve is alpha_bar(u) = cos²((u + s) / (1 + s) · π/2), s = 0.008, for u from 0 to 1; a beta is what
    one step of the curve loses. The last one would be 1, all signal gone at once, so it is capped.

    Returns:
        (K,) float64.
    """

    def alpha_bar(u: Tensor) -> Tensor:
        return torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    u = torch.arange(num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps
    return (1 - alpha_bar(u[1:]) / alpha_bar(u[:-1])).clamp(max=max_beta)


BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
"""diffusers' names of the schedules above."""


# ------------------------------------------------------------------------------------------------
# everything that follows from the betas
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The betas of a forward process and what follows from them; all tensors have shape (K,).

    Computed in float64 and given out in float32: 1 - alpha_bar near k = 0 loses four of its seven digits
    when it is computed in float32.

    Attributes:
        beta_float64: (K,) float64, each in (0, 1).
    """

    beta_float64: Tensor

    def __post_init__(self) -> None:
        beta = self.beta_float64
        if beta.ndim != 1 or len(beta) == 0 or not bool(((beta > 0) & (beta < 1)).all()):
            raise ConfigError(
                f"betas have shape {tuple(beta.shape)} and range [{beta.min() if beta.numel() else 'none'}, "
                f"{beta.max() if beta.numel() else 'none'}]; they must be one row of numbers between 0 and 1"
            )
        object.__setattr__(self, "beta_float64", beta.double())

    @classmethod
    def from_scheduler(cls, noise_scheduler: Any) -> NoiseSchedule:
        """The schedule of a diffusers scheduler (anything with `betas`)."""
        return cls(noise_scheduler.betas.detach().cpu().double())

    @property
    def num_train_timesteps(self) -> int:
        """K."""
        return len(self.beta_float64)

    @cached_property
    def alpha_bar_float64(self) -> Tensor:
        """Share of the signal's variance left after step k, at full precision."""
        return torch.cumprod(1 - self.beta_float64, dim=0)

    @cached_property
    def beta(self) -> Tensor:
        """Variance of the noise that step k adds."""
        return self.beta_float64.float()

    @cached_property
    def alpha(self) -> Tensor:
        """1 - beta: share of the variance that step k keeps."""
        return (1 - self.beta_float64).float()

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Product of the alphas up to and including step k."""
        return self.alpha_bar_float64.float()

    @cached_property
    def signal_scale(self) -> Tensor:
        """sqrt(alpha_bar): what x_0 is multiplied by in x_k."""
        return self.alpha_bar_float64.sqrt().float()

    @cached_property
    def noise_scale(self) -> Tensor:
        """sqrt(1 - alpha_bar): what epsilon is multiplied by in x_k."""
        return (1 - self.alpha_bar_float64).sqrt().float()

    @cached_property
    def signal_to_noise(self) -> Tensor:
        """alpha_bar / (1 - alpha_bar): ratio of variances; 1 where signal and noise are equal."""
        return (self.alpha_bar_float64 / (1 - self.alpha_bar_float64)).float()

    @cached_property
    def posterior_variance(self) -> Tensor:
        """Variance of q(x_{k-1} | x_k, x_0) (Ho et al. 2020, equation 7); diffusers' "fixed_small"."""
        previous = torch.cat([torch.ones(1, dtype=torch.float64), self.alpha_bar_float64[:-1]])
        return ((1 - previous) / (1 - self.alpha_bar_float64) * self.beta_float64).float()

    def at(self, coefficient: Tensor, timestep: int | Tensor, like: Tensor) -> Tensor:
        """Picks a coefficient per sample, shaped to multiply a batch.

        Args:
            coefficient: (K,), one of this schedule's tensors.
            timestep: int, or a tensor () or (B,) of integers in [0, K).
            like: (B, ...), gives dtype, device and the number of axes.

        Returns:
            (B, 1, ...), or (1, 1, ...) for a single step.

        Raises:
            ConfigError: if a step is not an integer in [0, K), or their number is not B.
        """
        k = torch.as_tensor(timestep).reshape(-1)  # (B,) or (1,)
        if k.is_floating_point() or k.is_complex() or k.dtype == torch.bool:
            raise ConfigError(f"timestep is of type {k.dtype}; it must be an integer")
        # On a GPU, looking at the values would make every training step wait for it.
        if len(k) == 0 or (k.is_cpu and not 0 <= int(k.min()) <= int(k.max()) < len(coefficient)):
            found = "empty" if len(k) == 0 else f"{int(k.min())} to {int(k.max())}"
            raise ConfigError(f"timestep is {found}; it must lie between 0 and {len(coefficient) - 1}")
        if len(k) not in (1, len(like)):
            raise ConfigError(
                f"timestep has {len(k)} entries for a batch of {len(like)}; give one, or one each"
            )
        picked = coefficient.to(k.device)[k].to(device=like.device, dtype=like.dtype)
        return picked.reshape(-1, *[1] * (like.ndim - 1))  # (B, 1, ...)


def make_noise_schedule(
    num_train_timesteps: int = 100,
    beta_schedule: str = "squaredcos_cap_v2",
    beta_start: float | None = None,
    beta_end: float | None = None,
) -> NoiseSchedule:
    """The schedule of a name, equal to diffusers' to float32 accuracy.

    Args:
        num_train_timesteps: K.
        beta_schedule: "linear", "scaled_linear" or "squaredcos_cap_v2".
        beta_start: first beta of the two linear schedules; 1e-4 if not given.
        beta_end: last beta of the two linear schedules; 0.02 if not given.

    Raises:
        ConfigError: for an unknown schedule, K < 1, or a beta range that the schedule would ignore.
    """
    beta_start, beta_end = _check_betas(num_train_timesteps, beta_schedule, beta_start, beta_end)
    if beta_schedule == "linear":
        betas = linear_betas(num_train_timesteps, beta_start, beta_end)
    elif beta_schedule == "scaled_linear":
        betas = scaled_linear_betas(num_train_timesteps, beta_start, beta_end)
    else:
        betas = squared_cosine_betas(num_train_timesteps)
    # diffusers keeps betas in float32; without that, 1 - 0.999 at the end would differ in the fifth digit.
    return NoiseSchedule(betas.float().double())


def _check_betas(
    num_train_timesteps: int, beta_schedule: str, beta_start: float | None, beta_end: float | None
) -> tuple[float, float]:
    at_least("num_train_timesteps", num_train_timesteps)
    one_of("beta_schedule", beta_schedule, BETA_SCHEDULES)
    if beta_schedule == "squaredcos_cap_v2" and (beta_start is not None or beta_end is not None):
        # diffusers accepts and ignores them: a sweep over them would compare identical runs.
        raise ConfigError(
            f"beta_start {beta_start} and beta_end {beta_end} have no effect on beta_schedule "
            "'squaredcos_cap_v2'; leave them out, or choose 'linear'"
        )
    start = DEFAULT_BETA_START if beta_start is None else beta_start
    end = DEFAULT_BETA_END if beta_end is None else beta_end
    if not 0 < start <= end < 1:
        raise ConfigError(f"beta_start is {start} and beta_end {end}; wanted 0 < beta_start <= beta_end < 1")
    return start, end


# ------------------------------------------------------------------------------------------------
# diffusers' schedulers
# ------------------------------------------------------------------------------------------------

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")
TIMESTEP_SPACINGS = ("leading", "linspace", "trailing")


def make_noise_scheduler(
    name: str = "ddpm",
    num_train_timesteps: int = 100,
    beta_schedule: str = "squaredcos_cap_v2",
    prediction_type: str = "epsilon",
    clip_sample: bool = True,
    beta_start: float | None = None,
    beta_end: float | None = None,
    timestep_spacing: str = "trailing",
) -> Any:
    """Builds a diffusers scheduler. All of them share the forward process, so swapping needs no retraining.

    Args:
        name: "ddpm" (stochastic, all K steps), "ddim" (deterministic, few steps; Song et al. 2020),
            "dpm_solver++" (second order, fewer still; Lu et al. 2022), or another of `NOISE_SCHEDULERS`.
        num_train_timesteps: K.
        beta_schedule: "linear", "scaled_linear" or "squaredcos_cap_v2".
        prediction_type: what the denoiser predicts: "epsilon", "sample" or "v_prediction".
        clip_sample: clip the predicted clean trajectory to [-1, 1] at every step. Right for actions scaled to
            these limits; with z-scored actions it cuts off large motions.
        beta_start: first beta of the linear schedules.
        beta_end: last beta of the linear schedules.
        timestep_spacing: which of the K steps are visited when sampling in fewer. The default is "trailing",
            which starts at K - 1, where the trajectory is pure noise as the sampler's first draw is. The
            reference's "leading" starts lower: 16 of 100 steps from k = 90, where alpha_bar is 0.0195 and
            the denoiser never saw pure noise. "leading" and "linspace" are diffusers' own; its DDIM then
            takes wrong jumps where the number of steps does not divide K (see `schedulers`).

    Returns:
        A scheduler of diffusers, such as `DDPMScheduler`.

    Raises:
        ConfigError: for an unknown name, or a beta range that the schedule would ignore.
    """
    start, end = _check_betas(num_train_timesteps, beta_schedule, beta_start, beta_end)
    one_of("prediction_type", prediction_type, PREDICTION_TYPES)
    one_of("timestep_spacing", timestep_spacing, TIMESTEP_SPACINGS)
    return NOISE_SCHEDULERS.get(name).make(
        clip_sample,
        num_train_timesteps=num_train_timesteps,
        beta_schedule=beta_schedule,
        beta_start=start,
        beta_end=end,
        prediction_type=prediction_type,
        timestep_spacing=timestep_spacing,
        steps_offset=0,
    )
