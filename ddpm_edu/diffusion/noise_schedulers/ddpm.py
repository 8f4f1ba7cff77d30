"""DDPM: stochastic, made for all K steps (Ho et al. 2020)."""

from __future__ import annotations

from typing import Any

from ddpm_edu.diffusion.noise_schedulers.base import NOISE_SCHEDULERS


class Ddpm:
    name = "ddpm"

    def make(self, clip_sample: bool, **settings: Any) -> Any:
        """See `NoiseSchedulerChoice.make`."""
        from diffusers import DDPMScheduler  # here: it takes seconds, and names must be known in none

        from ddpm_edu.diffusion.schedulers import EvenDDPMScheduler

        kind = EvenDDPMScheduler if settings["timestep_spacing"] == "trailing" else DDPMScheduler
        return kind(**settings, clip_sample=clip_sample, variance_type="fixed_small")


NOISE_SCHEDULERS.register(Ddpm())
