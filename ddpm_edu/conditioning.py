"""How observations reach the denoiser: globally, locally, or by inpainting.

- Global: all observation features stand beside the trajectory, and every step of it sees all of them.
- Local: each step of the trajectory has features of its own, zero where nothing was observed.
- Inpainting: observations are part of the trajectory itself; the known entries are written into it before
  every denoising step, and the rest is filled in (Lugmayr et al. 2022; Janner et al. 2022).

The same object decides in training and in sampling, so that the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddpm_edu.config import PolicyConfig
from ddpm_edu.denoisers import DenoiserSpec
from ddpm_edu.diffusion.masking import make_condition_mask
from ddpm_edu.errors import ConfigError


@dataclass
class Conditions:
    """What one call of the denoiser is given.

    Attributes:
        trajectory: what is denoised, without noise (B, T, D); in sampling zeros, of which only shape, dtype
            and device count.
        condition_data: the given entries, at their places (B, T, D).
        condition_mask: True where an entry is given (B, T, D); None where nothing is.
        denoiser_inputs: what the denoiser takes beside the trajectory, by name.
    """

    trajectory: Tensor
    condition_data: Tensor
    condition_mask: Tensor | None = None
    denoiser_inputs: dict[str, Tensor] = field(default_factory=dict)


class Conditioning:
    """What the three ways have in common.

    Args:
        config: the policy's configuration.
        obs_feature_dim: Do, the features of one observation.
    """

    def __init__(self, config: PolicyConfig, obs_feature_dim: int):
        self.config = config
        self.obs_feature_dim = obs_feature_dim
        self.action_dim = config.action_dim

    @property
    def trajectory_dim(self) -> int:
        """D: entries of one step of the trajectory."""
        return self.action_dim

    @property
    def training_obs_steps(self) -> int:
        """Observation steps that a training window must hold."""
        return self.config.n_obs_steps

    def denoiser_spec(self) -> DenoiserSpec:
        """What the denoiser must fit: the trajectory, and what is offered beside it."""
        config = self.config
        return DenoiserSpec(
            self.trajectory_dim, config.trajectory_steps, config.n_obs_steps, **self._offered()
        )

    def _offered(self) -> dict[str, int]:
        return {}

    def for_training(
        self, features: Tensor, actions: Tensor, generator: torch.Generator | None = None
    ) -> Conditions:
        """The conditions of a training batch.

        Args:
            features: observation features (B, `training_obs_steps`, Do).
            actions: normalised actions (B, T, Da).
            generator: draws what is random about the condition mask.
        """
        raise NotImplementedError

    def for_sampling(self, features: Tensor, past_action: Tensor | None = None) -> Conditions:
        """The conditions of sampling.

        Args:
            features: observation features (B, To, Do).
            past_action: normalised actions before now (B, To-1, Da), for inpainting that sees them.

        Raises:
            ConfigError: as `check_past_action`.
        """
        raise NotImplementedError

    def check_past_action(self, past_action: Tensor | None, batch_size: int) -> None:
        """Refuses actions before now that cannot be used, and their absence where training gave them.

        Args:
            past_action: (B, To-1, Da), or None.
            batch_size: B.

        Raises:
            ConfigError: with what was found and what is wanted.
        """
        steps, config = self.config.n_obs_steps - 1, self.config
        wanted = f"(B, To-1, Da) = ({batch_size}, {steps}, {self.action_dim})"
        if past_action is None:
            if config.needs_past_action:
                raise ConfigError(
                    f"past_action is missing: this policy is told the actions before now; give {wanted}"
                )
        elif not (config.conditioning == "inpainting" and config.inpainting.past_action_visible):
            raise ConfigError(
                f"past_action was given, but conditioning {config.conditioning!r} does not take it here; "
                "use 'inpainting' with inpainting.past_action_visible"
            )
        elif tuple(past_action.shape) != (batch_size, steps, self.action_dim):
            raise ConfigError(f"past_action has shape {tuple(past_action.shape)}; it must be {wanted}")

    def _empty_trajectory(self, features: Tensor) -> Tensor:
        shape = (features.shape[0], self.config.trajectory_steps, self.trajectory_dim)
        return features.new_zeros(shape)  # (B, T, D)


class GlobalConditioning(Conditioning):
    """Every trajectory step sees all To observations: one vector for the UNet, tokens for the transformer."""

    def _offered(self) -> dict[str, int]:
        return {"feature_dim": self.obs_feature_dim}

    def for_training(
        self, features: Tensor, actions: Tensor, generator: torch.Generator | None = None
    ) -> Conditions:
        trajectory = actions[:, self.config.denoised]  # (B, T or Ta, Da)
        return Conditions(trajectory, trajectory, None, self._inputs(features))

    def for_sampling(self, features: Tensor, past_action: Tensor | None = None) -> Conditions:
        self.check_past_action(past_action, len(features))
        trajectory = self._empty_trajectory(features)
        return Conditions(trajectory, trajectory, None, self._inputs(features))

    def _inputs(self, features: Tensor) -> dict[str, Tensor]:
        return self.config.denoiser.inputs(features=features)


class LocalConditioning(Conditioning):
    """Each trajectory step has its own observation's features; zero after the first To."""

    def _offered(self) -> dict[str, int]:
        return {"local_feature_dim": self.obs_feature_dim}

    def for_training(
        self, features: Tensor, actions: Tensor, generator: torch.Generator | None = None
    ) -> Conditions:
        return Conditions(actions, actions, None, self._inputs(features))

    def for_sampling(self, features: Tensor, past_action: Tensor | None = None) -> Conditions:
        self.check_past_action(past_action, len(features))
        trajectory = self._empty_trajectory(features)
        return Conditions(trajectory, trajectory, None, self._inputs(features))

    def _inputs(self, features: Tensor) -> dict[str, Tensor]:
        B, To, Do = features.shape
        local_features = features.new_zeros((B, self.config.trajectory_steps, Do))  # (B, T, Do)
        local_features[:, :To] = features
        return self.config.denoiser.inputs(local_features=local_features)


class InpaintingConditioning(Conditioning):
    """Observations are a part of the trajectory: (action, features) at every step, the known ones given.

    The denoiser takes nothing beside the trajectory. In training it sees the features of all T steps and
    learns to predict those after now as well; with `inpainting.after_now` other than "denoised" these are
    given too, as the present ones or zeros, and only actions are left to denoise.
    """

    @property
    def trajectory_dim(self) -> int:
        return self.action_dim + self.obs_feature_dim

    @property
    def training_obs_steps(self) -> int:
        return self.config.horizon if self._future_is_denoised else self.config.n_obs_steps

    @property
    def _future_is_denoised(self) -> bool:
        return self.config.inpainting.after_now == "denoised"

    def _over_horizon(self, features: Tensor) -> Tensor:
        """Features (B, To, Do) with those after now (B, T, Do): the present ones, or zeros."""
        after = features[:, -1:].expand(-1, self.config.horizon - features.shape[1], -1)  # (B, T-To, Do)
        if self.config.inpainting.after_now != "repeated":
            after = torch.zeros_like(after)
        return torch.cat([features, after], dim=1)  # (B, T, Do)

    def for_training(
        self, features: Tensor, actions: Tensor, generator: torch.Generator | None = None
    ) -> Conditions:
        if not self._future_is_denoised:
            features = self._over_horizon(features)  # (B, T, Do)
        condition_data = torch.cat([actions, features], dim=-1)  # (B, T, Da+Do)
        # The noisy target carries no gradient: otherwise the encoder could lower the loss by making its own
        # future features easy to predict. The given entries carry it, unless the reference's cut is wanted.
        trajectory = condition_data.detach()
        if not self.config.inpainting.train_encoder:
            condition_data = trajectory
        mask = make_condition_mask(
            batch_size=condition_data.shape[0],
            horizon=condition_data.shape[1],
            action_dim=self.action_dim,
            obs_feature_dim=self.obs_feature_dim,
            n_obs_steps=self.config.n_obs_steps,
            fix_obs_steps=self.config.inpainting.fix_obs_steps,
            past_action_visible=self.config.inpainting.past_action_visible,
            generator=generator,
            device=condition_data.device,
        )  # (B, T, Da+Do)
        if not self._future_is_denoised:
            mask[..., self.action_dim :] = True
        return Conditions(trajectory, condition_data, mask)

    def for_sampling(self, features: Tensor, past_action: Tensor | None = None) -> Conditions:
        To, Da = self.config.n_obs_steps, self.action_dim
        self.check_past_action(past_action, len(features))
        condition_data = self._empty_trajectory(features)  # (B, T, Da+Do)
        condition_data[..., Da:] = self._over_horizon(features)
        condition_mask = torch.zeros_like(condition_data, dtype=torch.bool)  # (B, T, Da+Do)
        condition_mask[:, : To if self._future_is_denoised else None, Da:] = True
        if past_action is not None:
            condition_data[:, : To - 1, :Da] = past_action
            condition_mask[:, : To - 1, :Da] = True
        return Conditions(torch.zeros_like(condition_data), condition_data, condition_mask)


def make_conditioning(config: PolicyConfig, obs_feature_dim: int) -> Conditioning:
    """The conditioning that a configuration names."""
    kinds = {"global": GlobalConditioning, "local": LocalConditioning, "inpainting": InpaintingConditioning}
    return kinds[config.conditioning](config, obs_feature_dim)
