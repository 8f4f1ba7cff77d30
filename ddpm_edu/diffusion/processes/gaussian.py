"""Gaussian diffusion: K small steps of noise (Ho et al. 2020), reversed by diffusers' schedulers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ddpm_edu.diffusion.forward import add_noise
from ddpm_edu.diffusion.noise_schedulers import NOISE_SCHEDULERS
from ddpm_edu.diffusion.parameterization import training_target
from ddpm_edu.diffusion.processes.base import (
    PROCESSES,
    Callback,
    Denoise,
    DiffusionProcess,
    Generators,
    ProcessConfig,
)
from ddpm_edu.diffusion.sampling import sample
from ddpm_edu.diffusion.schedule import NoiseSchedule, make_noise_schedule, make_noise_scheduler
from ddpm_edu.errors import ConfigError
from ddpm_edu.settings import named

MOST_SIGNAL_LEFT = 1e-2
"""alpha_bar at the last step: sampling starts from pure noise, which training must have come near."""


@PROCESSES.register
@dataclass(frozen=True)
class GaussianConfig(ProcessConfig):
    """The forward process, and how sampling walks back."""

    name: ClassVar[str] = "gaussian"
    title: ClassVar[str] = "Gaussian diffusion"
    where: ClassVar[str] = "noise."
    of_sampling: ClassVar[tuple[str, ...]] = (
        "scheduler",
        "num_inference_steps",
        "timestep_spacing",
        "clip_sample",
    )

    scheduler: str = named(NOISE_SCHEDULERS, "ddim")
    """Sampler over a shared forward process; swapping it needs no retraining."""
    beta_schedule: Literal["squaredcos_cap_v2", "linear", "scaled_linear"] = "squaredcos_cap_v2"
    """How fast noise grows; squared cosine keeps signal for longer (Nichol and Dhariwal 2021)."""
    prediction_type: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    """What the denoiser predicts."""
    clip_sample: bool = True
    """Clip the predicted clean trajectory to [-1, 1]. Right for min-max limits, wrong for z-scores."""
    timestep_spacing: Literal["trailing", "leading", "linspace"] = "trailing"
    """Which of the K steps are visited when sampling in fewer; see `make_noise_scheduler`."""

    @classmethod
    def group_name(cls) -> str:
        return "noise"  # the files of before there was another process

    def __post_init__(self) -> None:
        super().__post_init__()
        K = self.num_train_timesteps
        if not 1 <= self.num_inference_steps <= K:
            raise ConfigError(
                f"noise.num_inference_steps is {self.num_inference_steps}; it must lie between 1 and "
                f"noise.num_train_timesteps = {K}"
            )
        with torch.device("cpu"):  # also where shapes alone are built, on the device "meta"
            left = float(make_noise_schedule(K, self.beta_schedule).alpha_bar[-1])
        if left > MOST_SIGNAL_LEFT:
            raise ConfigError(
                f"noise.beta_schedule {self.beta_schedule!r} with noise.num_train_timesteps {K} ends at "
                f"alpha_bar = {left:.3g}, above {MOST_SIGNAL_LEFT:g}: its betas were made for 1000 steps, "
                "and sampling would start from more noise than training ever saw; take 1000 steps, or "
                "squaredcos_cap_v2"
            )

    def build(self) -> GaussianProcess:
        return GaussianProcess(self)


class GaussianProcess(DiffusionProcess):
    """DDPM's forward process, and the samplers that share it.

    Args:
        config: its settings.
    """

    config: GaussianConfig

    @cached_property
    def noise_scheduler(self) -> Any:
        """The diffusers scheduler that walks back."""
        config = self.config
        return make_noise_scheduler(
            config.scheduler,
            num_train_timesteps=config.num_train_timesteps,
            beta_schedule=config.beta_schedule,
            prediction_type=config.prediction_type,
            clip_sample=config.clip_sample,
            timestep_spacing=config.timestep_spacing,
        )

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The betas and what follows from them.

        Our own formulas add the noise: DPM-Solver's `add_noise` depends on the steps it last sampled in.
        """
        return NoiseSchedule.from_scheduler(self.noise_scheduler)

    @property
    def timesteps(self) -> Tensor:
        return self.noise_scheduler.timesteps

    def draw(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        noise = torch.randn(shape, device=device, generator=generator)  # (B, T, D)
        K = self.config.num_train_timesteps
        return noise, torch.randint(0, K, shape[:1], device=device, generator=generator)  # and (B,)

    def add_noise(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return add_noise(self.schedule, trajectory, noise, timesteps)

    def target(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return training_target(self.schedule, trajectory, noise, timesteps, self.config.prediction_type)

    def sample(
        self,
        denoise: Denoise,
        condition_data: Tensor,
        condition_mask: Tensor | None = None,
        *,
        generator: Generators = None,
        callback: Callback | None = None,
        **step_arguments: Any,
    ) -> Tensor:
        return sample(
            denoise,
            self.noise_scheduler,
            condition_data,
            condition_mask,
            num_inference_steps=self.config.num_inference_steps,
            generator=generator,
            callback=callback,
            **step_arguments,
        )
