"""A process from outside, in one file: noise and trajectory mixed along a quarter of a circle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ddpm_edu.diffusion.processes import PROCESSES, FlowConfig, FlowProcess


@PROCESSES.register
@dataclass(frozen=True)
class ArcConfig(FlowConfig):
    """A variance-preserving path (Albergo and Vanden-Eijnden 2023); the velocity is its derivative."""

    name: ClassVar[str] = "arc"
    title: ClassVar[str] = "flow matching on an arc"
    where: ClassVar[str] = "arc."

    # Where a velocity points at is a straight path's matter.
    clip_sample: bool = False

    def build(self) -> ArcProcess:
        return ArcProcess(self)


class ArcProcess(FlowProcess):
    """x_u = cos(πu/2) x_0 + sin(πu/2) epsilon."""

    def add_noise(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        angle = self._angle(trajectory, timesteps)
        return angle.cos() * trajectory + angle.sin() * noise

    def target(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        angle = self._angle(trajectory, timesteps)
        return math.pi / 2 * (angle.cos() * noise - angle.sin() * trajectory)

    def _angle(self, like: Tensor, timesteps: Tensor) -> Tensor:
        u = timesteps / self.config.num_train_timesteps
        return math.pi / 2 * u.reshape(-1, *[1] * (like.ndim - 1))  # (B, 1, 1)
