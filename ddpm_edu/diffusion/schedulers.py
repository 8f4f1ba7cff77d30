"""diffusers' schedulers, visiting the right steps for every number of steps.

Sampling in n < K steps visits n of the K noise levels. diffusers' own choice ("trailing") is right where n
divides K. Elsewhere its DDPM can visit level -1, which indexes the noisiest one (K = 100, n = 29); its DDIM
jumps K // n levels whatever it visits next (K = 100, n = 60 jumps by 1 and visits every second: half of the
noise stays); its DPM-Solver++ visits -1 from n = 67 on. Here the visited levels come from one line, and each
step goes to the next level that is visited. Where n divides K, DDPM and DDIM are diffusers' own bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from ddpm_edu.diffusion.sampling import ddim_update
from ddpm_edu.errors import ConfigError
from ddpm_edu.settings import check_number


def visited_timesteps(num_train_timesteps: int, num_inference_steps: int) -> list[int]:
    """The noise levels that n steps visit, from K - 1 down, as evenly as integers allow.

    K - 1 is where training saw pure noise, as the sampler's first draw is; the lowest one's step goes to
    the clean trajectory.

    Raises:
        ConfigError: if n does not lie between 1 and K.
    """
    K, n = num_train_timesteps, num_inference_steps
    if not 1 <= n <= K:
        raise ConfigError(f"num_inference_steps is {n}; it must lie between 1 and K = {K}")
    return [K * (n - i) // n - 1 for i in range(n)]


class EvenDDPMScheduler(DDPMScheduler):
    """DDPM over evenly visited levels (Ho et al. 2020)."""

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Chooses the levels that n steps visit."""
        levels = visited_timesteps(self.config.num_train_timesteps, num_inference_steps)
        super().set_timesteps(timesteps=levels, device=device)
        self.num_inference_steps = num_inference_steps


class EvenDPMSolverScheduler(DPMSolverMultistepScheduler):
    """DPM-Solver++ over evenly visited levels (Lu et al. 2022)."""

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Chooses the levels that n steps visit."""
        levels = visited_timesteps(self.config.num_train_timesteps, num_inference_steps)
        super().set_timesteps(timesteps=levels, device=device)


class EvenDDIMScheduler(DDIMScheduler):
    """DDIM over evenly visited levels, each step going to the next of them (Song et al. 2020)."""

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Chooses the levels that n steps visit."""
        levels = visited_timesteps(self.config.num_train_timesteps, num_inference_steps)
        self.num_inference_steps = num_inference_steps
        self.timesteps = torch.tensor(levels, device=device)
        self._next_level = dict(zip(levels, [*levels[1:], -1], strict=True))

    def step(
        self,
        model_output: Tensor,
        timestep: int,
        sample: Tensor,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: torch.Generator | list[torch.Generator] | None = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[Tensor, Tensor]:
        """One step to the next visited level: equation 12, with the sigma of equation 16.

        Arguments and result are those of `DDIMScheduler.step`.

        Raises:
            ConfigError: before `set_timesteps`, for a level that is not visited, or eta outside [0, 1], where
                the variance of the kept noise would be negative.
        """
        check_number("eta", eta, least=0, most=1)
        if self.num_inference_steps is None or int(timestep) not in self._next_level:
            raise ConfigError(
                f"timestep {int(timestep)} is not visited; call set_timesteps and take its steps"
            )
        previous = self._next_level[int(timestep)]
        alpha_bar = self.alphas_cumprod[int(timestep)]
        alpha_bar_previous = self.alphas_cumprod[previous] if previous >= 0 else self.final_alpha_cumprod
        a, s = alpha_bar**0.5, (1 - alpha_bar) ** 0.5

        # 1. what the prediction says about the clean sample and about the noise
        if self.config.prediction_type == "epsilon":
            clean, epsilon = (sample - s * model_output) / a, model_output
        elif self.config.prediction_type == "sample":
            clean, epsilon = model_output, (sample - a * model_output) / s
        else:
            clean, epsilon = a * sample - s * model_output, a * model_output + s * sample
        if self.config.clip_sample:
            clean = clean.clamp(-self.config.clip_sample_range, self.config.clip_sample_range)
        if use_clipped_model_output:
            epsilon = (sample - a * clean) / s

        # 2. the same noise at the next level, of which eta exchanges a part for fresh noise
        sigma = eta * self._get_variance(int(timestep), previous) ** 0.5
        result = ddim_update(clean, epsilon, alpha_bar_previous, sigma)
        if eta > 0:
            if variance_noise is None:
                variance_noise = randn_tensor(
                    model_output.shape,
                    generator=generator,
                    device=model_output.device,
                    dtype=model_output.dtype,
                )
            result = result + sigma * variance_noise
        return DDIMSchedulerOutput(result, clean) if return_dict else (result, clean)
