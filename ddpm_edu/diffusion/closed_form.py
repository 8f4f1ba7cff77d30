"""Distributions whose best denoiser is known exactly: what a perfectly trained network would say.

With them the sampler can be tested, and watched, without training anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_edu.diffusion.parameterization import convert_prediction
from ddpm_edu.diffusion.schedule import NoiseSchedule
from ddpm_edu.errors import ConfigError


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture of M Gaussians, each with the same spread in all directions; M = 1 is a single Gaussian.

    Noised to alpha_bar = a², 1 - alpha_bar = s², each mode stays Gaussian: mean a·mean_m, variance
    a²·std_m² + s². So densities, scores and the mean of what was clean are known at every noise level.

    Attributes:
        means: (M, ...) where the modes stand; the further axes are those of one sample, such as (T, Da).
        stds: (M,) spread of each mode; 0 is a point.
        weights: (M,) share of each mode; they sum to 1.

    Raises:
        ConfigError: if shapes do not fit, a spread is negative, or the weights do not sum to 1.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        M = len(self.means)
        if tuple(self.stds.shape) != (M,) or tuple(self.weights.shape) != (M,):
            raise ConfigError(
                f"means has {M} modes, stds shape {tuple(self.stds.shape)} and weights shape "
                f"{tuple(self.weights.shape)}; both must be ({M},)"
            )
        if bool((self.stds < 0).any()) or bool((self.weights < 0).any()):
            raise ConfigError(
                f"stds {self.stds.tolist()} and weights {self.weights.tolist()} must not be negative"
            )
        if abs(float(self.weights.sum()) - 1) > 1e-5:
            raise ConfigError(f"weights {self.weights.tolist()} must sum to 1")

    @classmethod
    def gaussian(cls, mean: Tensor, std: float) -> GaussianMixture:
        """A single Gaussian. mean (...) is that of one sample."""
        return cls(mean[None], torch.full((1,), std, dtype=mean.dtype), torch.ones(1, dtype=mean.dtype))

    @classmethod
    def two_modes(cls, left: Tensor, right: Tensor, std: float, left_weight: float = 0.5) -> GaussianMixture:
        """Two ways of one task. left, right (...) are two samples, such as trajectories (T, Da)."""
        weights = torch.tensor([left_weight, 1 - left_weight], dtype=left.dtype)
        return cls(torch.stack([left, right]), torch.full((2,), std, dtype=left.dtype), weights)

    # ---- drawing -------------------------------------------------------------------------------

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n samples: (n, ...)."""
        mode = torch.multinomial(self.weights, n, replacement=True, generator=generator)  # (n,)
        noise = torch.randn(n, *self.means.shape[1:], dtype=self.means.dtype, generator=generator)  # (n, ...)
        return self.means[mode] + self._per_mode(self.stds)[mode] * noise

    # ---- at a noise level ----------------------------------------------------------------------

    def log_density(self, noisy: Tensor, alpha_bar: float = 1.0) -> Tensor:
        """log p_k(x_k); alpha_bar = 1 is the clean distribution. noisy (B, ...) -> (B,)."""
        return self._log_joint(noisy, alpha_bar).logsumexp(dim=1)

    def responsibilities(self, noisy: Tensor, alpha_bar: float) -> Tensor:
        """How likely each mode is, given a noisy sample. noisy (B, ...) -> (B, M), rows sum to 1."""
        return self._log_joint(noisy, alpha_bar).softmax(dim=1)

    def score(self, noisy: Tensor, alpha_bar: float) -> Tensor:
        """Gradient of `log_density` in x_k: where probability grows. noisy (B, ...) -> (B, ...)."""
        variance = self._per_mode(self._variance(alpha_bar))  # (M, 1, ...)
        pull = (alpha_bar**0.5 * self.means - noisy[:, None]) / variance  # (B, M, ...)
        return self._average(self.responsibilities(noisy, alpha_bar), pull)

    def posterior_mean(self, noisy: Tensor, alpha_bar: float) -> Tensor:
        """E[x_0 | x_k]: what the squared error teaches a denoiser to predict. noisy (B, ...) -> (B, ...).

        Far from a mode it is an average of the modes: between two ways round an obstacle it points at the
        obstacle. That is why denoising takes many steps.
        """
        variance = self._per_mode(self._variance(alpha_bar))  # (M, 1, ...)
        gain = alpha_bar**0.5 * self._per_mode(self.stds) ** 2 / variance  # (M, 1, ...)
        per_mode = self.means + gain * (noisy[:, None] - alpha_bar**0.5 * self.means)  # (B, M, ...)
        return self._average(self.responsibilities(noisy, alpha_bar), per_mode)

    def denoiser(
        self, schedule: NoiseSchedule, prediction_type: str = "epsilon"
    ) -> Callable[[Tensor, int | Tensor], Tensor]:
        """The best possible denoiser for this distribution.

        Args:
            schedule: the betas.
            prediction_type: "epsilon", "sample" or "v_prediction".

        Returns:
            (noisy (B, ...), timestep: int or tensor ()) -> prediction (B, ...), for `sampling.sample`.
        """

        def denoise(noisy: Tensor, timestep: int | Tensor) -> Tensor:
            alpha_bar = float(schedule.alpha_bar_float64[int(timestep)])
            clean = self.posterior_mean(noisy, alpha_bar)
            return convert_prediction(schedule, clean, noisy, int(timestep), "sample", prediction_type)

        return denoise

    # ---- shared --------------------------------------------------------------------------------

    def _variance(self, alpha_bar: float) -> Tensor:
        return alpha_bar * self.stds**2 + (1 - alpha_bar)  # (M,)

    def _per_mode(self, values: Tensor) -> Tensor:
        return values.reshape(-1, *[1] * (self.means.ndim - 1))  # (M, 1, ...)

    def _average(self, weights: Tensor, per_mode: Tensor) -> Tensor:
        return torch.einsum("bm,bm...->b...", weights, per_mode)

    def _log_joint(self, noisy: Tensor, alpha_bar: float) -> Tensor:
        """log of weight times density of each mode: (B, M)."""
        variance = self._variance(alpha_bar)  # (M,)
        distance = (noisy[:, None] - alpha_bar**0.5 * self.means).square().flatten(2).sum(-1)  # (B, M)
        n_entries = self.means[0].numel()
        log_density = -0.5 * (distance / variance + n_entries * (2 * torch.pi * variance).log())
        return self.weights.log() + log_density
