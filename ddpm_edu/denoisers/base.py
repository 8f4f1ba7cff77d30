"""What a denoiser is to the rest of the package: its settings, which know how to build the network.

A new denoiser is one file: a frozen dataclass that derives from `DenoiserConfig` and is registered, and the
network beside it. See `ddpm_edu/denoisers/unet.py`, and tests/extensions for a small one from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from ddpm_edu.registry import Registry
from ddpm_edu.settings import Group


@dataclass(frozen=True)
class DenoiserSpec:
    """What a network must fit.

    Attributes:
        trajectory_dim: D, entries of one step of the trajectory.
        trajectory_steps: T, steps of the trajectory.
        n_obs_steps: To, observations that the policy sees.
        feature_dim: Do of the features that are offered for all steps together (B, To, Do); 0 for none.
        local_feature_dim: Do of the features that are offered for each step (B, T, Do); 0 for none.
    """

    trajectory_dim: int
    trajectory_steps: int
    n_obs_steps: int
    feature_dim: int = 0
    local_feature_dim: int = 0


@dataclass(frozen=True)
class DenoiserPreset:
    """What a denoiser wants in a preset, beside what all share.

    Attributes:
        denoiser: its sizes.
        policy: settings of `PolicyConfig`, such as the horizon.
        training: settings of `TrainingConfig`, such as the learning rate.
    """

    denoiser: DenoiserConfig
    policy: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DenoiserConfig(Group):
    """The settings of a denoiser. Deriving classes name it and build it."""

    name: ClassVar[str]
    """On the command line and in checkpoints."""
    title: ClassVar[str]
    """In reports, tables and figures."""
    conditionings: ClassVar[tuple[str, ...]] = ("global", "inpainting")
    """The ways of conditioning that it takes."""

    @classmethod
    def preset(cls, name: str, observation: str) -> DenoiserPreset:
        """What it wants in the preset `name` for an observation mode: its defaults, if nothing is known."""
        return DenoiserPreset(cls())

    def check(self, trajectory_steps: int, setting: str) -> None:
        """Refuses sizes that cannot work with a trajectory of so many steps, which `setting` decides.

        Raises:
            ConfigError: with the numbers.
        """

    def build(self, spec: DenoiserSpec) -> nn.Module:
        """The network: `network(sample (B, T, D), timestep () or (B,), **inputs) -> (B, T, D)`."""
        raise NotImplementedError

    def inputs(
        self, features: Tensor | None = None, local_features: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What the network takes beside trajectory and step, by name, from what a conditioning offers.

        Args:
            features: (B, To, Do), seen by the whole trajectory.
            local_features: (B, T, Do), one for each step.
        """
        offered = {"features": features, "local_features": local_features}
        return {name: value for name, value in offered.items() if value is not None}


DENOISERS: Registry[type[DenoiserConfig]] = Registry("denoiser", "denoisers", "ddpm_edu.denoisers")
"""The settings' classes of all denoisers, by name."""
