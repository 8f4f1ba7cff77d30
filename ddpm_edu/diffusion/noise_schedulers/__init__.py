"""The samplers over the Gaussian process: diffusers' schedulers, by name. One file for each.

A new one is an object with a `name` and a method `make(settings, **own)` that returns a diffusers scheduler
for the settings that all of them share; it is registered with `NOISE_SCHEDULERS.register`.
"""

from ddpm_edu.diffusion.noise_schedulers.base import NOISE_SCHEDULERS, NoiseSchedulerChoice

__all__ = ["NOISE_SCHEDULERS", "NoiseSchedulerChoice"]
