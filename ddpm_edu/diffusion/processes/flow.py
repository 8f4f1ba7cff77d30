"""Flow matching on straight paths: learn the velocity from noise to a trajectory, and follow it.

Lipman et al. 2023, "Flow Matching for Generative Modeling"; Liu et al. 2023, "Flow Straight and Fast". With
the noise level u from 0 (clean) to 1 (noise), as in diffusion the larger the noisier:

    x_u = (1 - u) x_0 + u epsilon          the noisy trajectory, on a straight line
    v   = epsilon - x_0 = d x_u / d u      the target

The mean of v given x_u is the velocity of a flow that carries noise into data; sampling follows it from u = 1
to 0. No schedule, no variance, and nothing that blows up at either end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ddpm_edu.diffusion.masking import clamp_conditioned
from ddpm_edu.diffusion.processes.base import (
    PROCESSES,
    Callback,
    Denoise,
    DiffusionProcess,
    Generators,
    ProcessConfig,
)
from ddpm_edu.diffusion.sampling import check_condition_mask, standard_normal
from ddpm_edu.errors import ConfigError


@PROCESSES.register
@dataclass(frozen=True)
class FlowConfig(ProcessConfig):
    """Straight paths from noise to the trajectory, and how they are followed."""

    name: ClassVar[str] = "flow"
    title: ClassVar[str] = "flow matching"
    where: ClassVar[str] = "flow."
    of_sampling: ClassVar[tuple[str, ...]] = ("solver", "num_inference_steps", "clip_sample")
    sampler_setting: ClassVar[str] = "solver"

    solver: Literal["euler", "midpoint"] = "euler"
    """Euler asks the denoiser once for each step, the midpoint rule twice, for an error of second order."""
    clip_sample: bool = True
    """Clip the clean trajectory that a velocity points at to [-1, 1]."""

    def build(self) -> FlowProcess:
        return FlowProcess(self)


class FlowProcess(DiffusionProcess):
    """Straight paths between noise and trajectories.

    The denoiser is told u * K, so that the embedding of its step resolves u as finely as in diffusion.

    Args:
        config: its settings.
    """

    config: FlowConfig

    @property
    def timesteps(self) -> Tensor:
        return self._levels()[:-1] * self.config.num_train_timesteps  # (n,)

    def draw(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        noise = torch.randn(shape, device=device, generator=generator)  # (B, T, D)
        level = torch.rand(shape[:1], device=device, generator=generator)  # (B,)
        return noise, level * self.config.num_train_timesteps

    def add_noise(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        u = (timesteps / self.config.num_train_timesteps).to(trajectory)
        return torch.lerp(trajectory, noise, u.reshape(-1, *[1] * (trajectory.ndim - 1)))

    def target(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - trajectory

    @torch.no_grad()
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
        if step_arguments:
            raise ConfigError(f"{next(iter(step_arguments))} has no meaning for flow matching; leave it out")
        check_condition_mask(condition_data, condition_mask)
        K = self.config.num_train_timesteps
        levels = self._levels().to(condition_data)  # (n+1,) from 1 to 0

        def velocity(x: Tensor, u: Tensor) -> Tensor:
            v = denoise(x, u * K)
            if self.config.clip_sample:  # x_0 = x_u - u v
                v = (x - (x - u * v).clamp(-1, 1)) / u
            return v

        x = standard_normal(condition_data, generator)  # (B, T, D)
        for step, (u, u_next) in enumerate(pairwise(levels)):
            x = clamp_conditioned(x, condition_data, condition_mask)
            if callback is not None:
                callback(step, float(u * K), x)
            v = velocity(x, u)
            if self.config.solver == "midpoint":
                middle = (u + u_next) / 2
                at_middle = clamp_conditioned(x + (middle - u) * v, condition_data, condition_mask)
                v = velocity(at_middle, middle)
            x = x + (u_next - u) * v
        x = clamp_conditioned(x, condition_data, condition_mask)
        if callback is not None:
            callback(self.config.num_inference_steps, -1, x)
        return x

    def _levels(self) -> Tensor:
        return torch.linspace(1, 0, self.config.num_inference_steps + 1)
