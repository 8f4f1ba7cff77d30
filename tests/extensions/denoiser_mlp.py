"""A denoiser from outside, in one file: a perceptron over the whole trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ddpm_edu.denoisers import DENOISERS, DenoiserConfig, DenoiserSpec
from ddpm_edu.settings import number


@DENOISERS.register
@dataclass(frozen=True)
class MlpConfig(DenoiserConfig):
    """Size of the perceptron."""

    name: ClassVar[str] = "mlp"
    title: ClassVar[str] = "perceptron"

    hidden: int = number(32, least=1)
    """Features of its layers."""
    n_layer: int = number(2, least=1)
    """Layers, a name that the transformer has too."""

    def build(self, spec: DenoiserSpec) -> MlpDenoiser:
        return MlpDenoiser(self, spec)


class MlpDenoiser(nn.Module):
    """Sees trajectory, features and time in one row."""

    def __init__(self, config: MlpConfig, spec: DenoiserSpec) -> None:
        super().__init__()
        size = spec.trajectory_steps * spec.trajectory_dim
        width = size + spec.n_obs_steps * spec.feature_dim + 1
        layers: list[nn.Module] = []
        for _ in range(config.n_layer):
            layers += [nn.Linear(width, config.hidden), nn.Mish()]
            width = config.hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, size))

    def forward(self, sample: Tensor, timestep: int | Tensor, features: Tensor | None = None) -> Tensor:
        time = torch.as_tensor(timestep, dtype=sample.dtype).reshape(-1, 1).expand(len(sample), 1) / 100
        parts = [sample.flatten(1), time] + ([] if features is None else [features.flatten(1)])
        return self.layers(torch.cat(parts, dim=1)).reshape(sample.shape)  # (B, T, D)
