"""DDIM: deterministic, in few steps (Song et al. 2020)."""

from __future__ import annotations

from typing import Any

from ddpm_edu.diffusion.noise_schedulers.base import NOISE_SCHEDULERS


class Ddim:
    name = "ddim"

    def make(self, clip_sample: bool, **settings: Any) -> Any:
        """See `NoiseSchedulerChoice.make`."""
        from diffusers import DDIMScheduler

        from ddpm_edu.diffusion.schedulers import EvenDDIMScheduler

        kind = EvenDDIMScheduler if settings["timestep_spacing"] == "trailing" else DDIMScheduler
        return kind(**settings, clip_sample=clip_sample, set_alpha_to_one=True)


NOISE_SCHEDULERS.register(Ddim())
