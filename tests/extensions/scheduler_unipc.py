"""A scheduler from outside, in one file: UniPC (Zhao et al. 2023), as diffusers has it."""

from __future__ import annotations

from typing import Any

from diffusers import UniPCMultistepScheduler

from ddpm_edu.diffusion.noise_schedulers import NOISE_SCHEDULERS


class UniPc:
    name = "unipc"

    def make(self, clip_sample: bool, **settings: Any) -> Any:
        return UniPCMultistepScheduler(**settings, thresholding=clip_sample, sample_max_value=1.0)


NOISE_SCHEDULERS.register(UniPc())
