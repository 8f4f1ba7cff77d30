"""What a process is to a policy: it draws, adds noise, says what to predict, and walks back.

A new process is one file: its settings, a frozen dataclass that is registered, and a class with five methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddpm_edu.diffusion.sampling import Callback, Denoise
from ddpm_edu.registry import Registry
from ddpm_edu.settings import Group, number

Generators = torch.Generator | list[torch.Generator] | None
"""Where noise is drawn from; a list has one generator for each trajectory of a batch."""


@dataclass(frozen=True)
class ProcessConfig(Group):
    """The settings of a process. Deriving classes name it and build it."""

    name: ClassVar[str]
    """On the command line and in checkpoints."""
    title: ClassVar[str]
    """In reports, tables and figures."""
    of_sampling: ClassVar[tuple[str, ...]] = ("num_inference_steps",)
    """Settings that only say how to walk back: they may change without new training."""
    sampler_setting: ClassVar[str] = "scheduler"
    """The one of them that names the sampler."""

    num_train_timesteps: int = number(100, least=1, most=100_000)
    """K: times at which the denoiser knows the trajectory, 0 to K - 1, the last one being noise."""
    num_inference_steps: int = number(10, least=1)
    """Denoising steps when sampling."""

    def build(self) -> DiffusionProcess:
        """The process of these settings."""
        raise NotImplementedError


class DiffusionProcess:
    """The way from a clean trajectory x_0 to noise, and back.

    Args:
        config: its settings.
    """

    def __init__(self, config: ProcessConfig) -> None:
        self.config = config

    @property
    def timesteps(self) -> Tensor:
        """The times at which sampling asks the denoiser (n,), known once sampling has begun."""
        raise NotImplementedError

    def draw(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What one training step draws: noise of `shape` (B, T, D), and a time for each sample (B,)."""
        raise NotImplementedError

    def add_noise(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noisy trajectory (B, T, D) at times (B,), of a clean one and noise, each (B, T, D)."""
        raise NotImplementedError

    def target(self, trajectory: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser should have predicted (B, T, D)."""
        raise NotImplementedError

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
        """Walks from pure noise to a trajectory, keeping what is given.

        Args:
            denoise: the denoiser with its conditions bound.
            condition_data: the given entries at their places (B, T, D); its shape is the trajectory's.
            condition_mask: True where an entry is given (B, T, D), or None.
            generator: draws the noise.
            callback: see `Callback`.
            **step_arguments: for each step.

        Returns:
            The denoised trajectory (B, T, D).
        """
        raise NotImplementedError


PROCESSES: Registry[type[ProcessConfig]] = Registry("process", "processes", "ddpm_edu.diffusion.processes")
"""The settings' classes of all processes, by name."""
