"""What a sampler over the Gaussian process is to the rest of the package."""

from __future__ import annotations

from typing import Any, Protocol

from ddpm_edu.registry import Registry


class NoiseSchedulerChoice(Protocol):
    """A named way to make a diffusers scheduler."""

    name: str

    def make(self, clip_sample: bool, **settings: Any) -> Any:
        """The scheduler.

        Args:
            clip_sample: clip the predicted clean trajectory to [-1, 1] at every step.
            **settings: what all schedulers of diffusers share: num_train_timesteps, beta_schedule,
                beta_start, beta_end, prediction_type, timestep_spacing, steps_offset.
        """


NOISE_SCHEDULERS: Registry[NoiseSchedulerChoice] = Registry(
    "scheduler", "schedulers", "ddpm_edu.diffusion.noise_schedulers"
)
