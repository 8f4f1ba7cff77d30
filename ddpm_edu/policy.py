"""`DiffusionPolicy`: observations in, a trajectory of actions out, by denoising.

One class for every combination of denoiser, conditioning and observation; what differs between them lives in
its parts. `compute_loss` and `conditional_sample` are the two halves of denoising diffusion (Ho et al. 2020)
applied to trajectories (Janner et al. 2022; Chi et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_edu.conditioning import Conditioning
from ddpm_edu.config import PolicyConfig
from ddpm_edu.cpu.sampling import bind
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.data.windows import Windows
from ddpm_edu.diffusion.masking import clamp_conditioned, masked_mse
from ddpm_edu.diffusion.processes.base import Callback, DiffusionProcess, Generators
from ddpm_edu.errors import ConfigError
from ddpm_edu.policy_inputs import check_batch, check_observation, check_values, shapes_of
from ddpm_edu.settings import differences, override, to_dict
from ddpm_edu.tasks import get_task


class DiffusionPolicy(nn.Module):
    """A policy of four parts, each replaceable on its own.

    Built, it does not change: `with_settings` gives another one that shares its weights.

    Args:
        config: what decides the architecture, and how the policy acts.
        obs_encoder: observations (N, ...) by key to features (N, Do).
        conditioning: how the features reach the denoiser.
        denoiser: predicts epsilon, the clean trajectory or v from a noisy trajectory.
        process: how a trajectory becomes noise and noise a trajectory.
        normalizer: observations and actions to the range in which diffusion works, and back.
    """

    def __init__(
        self,
        config: PolicyConfig,
        obs_encoder: nn.Module,
        conditioning: Conditioning,
        denoiser: nn.Module,
        process: DiffusionProcess,
        normalizer: Normalizer,
    ):
        super().__init__()
        self._config = config
        self.obs_encoder = obs_encoder
        self.conditioning = conditioning
        self.denoiser = denoiser
        self.process = process
        self.normalizer = normalizer
        self._shapes: dict[str, Any] | None = None
        """Of the last training batch; only what is new is looked at closely."""

    # ------------------------------------------------------------------------------------ what it is

    @property
    def config(self) -> PolicyConfig:
        """Its settings; to change how it acts, see `with_settings`."""
        return self._config

    def with_settings(self, **settings: Any) -> DiffusionPolicy:
        """A policy with the same weights that acts differently.

        Args:
            **settings: any that need no new training, by the names of `ddpm_edu.settings.override`:
                `n_action_steps`, and what the process allows (`scheduler`, `num_inference_steps`, …).

        Returns:
            Another policy. The parts that hold weights are the same objects, not copies.

        Raises:
            ConfigError: for an unknown setting, or one that would need new weights.
        """
        config = override(self.config, **settings)
        group = config.process.group_name()
        free = {"n_action_steps", *(f"{group}.{name}" for name in config.process.of_sampling)}
        for name, old, new in differences(to_dict(self.config), to_dict(config)):
            if name == "n_action_steps" and config.pred_action_steps_only:
                raise ConfigError(
                    f"n_action_steps cannot be {new}: this policy predicts its {old} actions only "
                    "(pred_action_steps_only)"
                )
            if name not in free:
                raise ConfigError(
                    f"{name} is {old!r} in this policy and cannot become {new!r} without new training; "
                    f"what can change is {', '.join(sorted(free))}"
                )
        conditioning = type(self.conditioning)(config, self.conditioning.obs_feature_dim)
        parts = (self.obs_encoder, conditioning, self.denoiser, config.process.build(), self.normalizer)
        changed = type(self)(config, *parts)
        # Not `train`: it would reach into the shared parts.
        changed.training = self.training
        return changed

    @property
    def noise_scheduler(self) -> Any:
        """The diffusers scheduler of a Gaussian process."""
        return self.process.noise_scheduler

    @property
    def num_inference_steps(self) -> int:
        """Denoising steps of one decision."""
        return self.config.process.num_inference_steps

    @property
    def horizon(self) -> int:
        """T: steps of the predicted trajectory."""
        return self.config.horizon

    @property
    def n_obs_steps(self) -> int:
        """To: observations that the policy sees."""
        return self.config.n_obs_steps

    @property
    def n_action_steps(self) -> int:
        """Ta: actions executed before replanning."""
        return self.config.n_action_steps

    @property
    def action_dim(self) -> int:
        """Da: entries of an action."""
        return self.config.action_dim

    def trajectory_shape(self, batch_size: int) -> tuple[int, int, int]:
        """(B, T, D) of what is denoised."""
        return batch_size, self.config.trajectory_steps, self.conditioning.trajectory_dim

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.denoiser.parameters()).device

    def windows(self, demonstrations: Demonstrations) -> Windows:
        """The windows over demonstrations that this policy is trained on."""
        config, obs_steps = self.config, self.conditioning.training_obs_steps
        horizons = (config.horizon, config.n_obs_steps, config.n_action_steps)
        return Windows(demonstrations, *horizons, obs_steps=obs_steps, from_rest=config.needs_past_action)

    # ------------------------------------------------------------------------------------- observing

    def encode(
        self, nobs: Mapping[str, Tensor], steps: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Features (B, steps, Do) of the first `steps` normalised observations {key: (B, >=steps, ...)}.

        In training mode the image encoder crops at random; `generator` draws where.
        """
        flat = {key: value[:, :steps].flatten(end_dim=1) for key, value in nobs.items()}  # (B*steps, ...)
        return self.obs_encoder(flat, generator).unflatten(0, (-1, steps))  # (B, steps, Do)

    # -------------------------------------------------------------------------------------- training

    def forward(self, batch: Mapping[str, Any], **arguments: Any) -> Tensor:
        """`compute_loss`, under the name that data-parallel wrappers call."""
        return self.compute_loss(batch, **arguments)

    def compute_loss(
        self,
        batch: Mapping[str, Any],
        *,
        noise: Tensor | None = None,
        timesteps: Tensor | None = None,
        noise_draws: int = 1,
        generator: torch.Generator | None = None,
        reduction: str = "mean",
    ) -> Tensor:
        """The masked denoising loss of a batch (Ho et al. 2020, equation 14, for any prediction type).

        Args:
            batch: "obs" {key: (B, To or T, ...)}, "action" (B, T, Da), and optionally "is_pad" (B, T).
            noise: epsilon (B, T, D); drawn when not given.
            timesteps: diffusion steps k (B,); drawn uniformly when not given.
            noise_draws: how many noises and diffusion steps each window gets. Its observations are encoded
                once for all of them, so where the encoder is the expensive part (images) the gradient
                becomes less noisy for little. Above 1, B stands for B * noise_draws in noise, timesteps and
                the result, the draws of one window in a row.
            generator: draws what is drawn, on the policy's device; torch's global one when not given.
            reduction: "mean" for a scalar, "per_sample" for (B,), "none" for (B, T, D).

        Raises:
            ConfigError: if the batch does not fit the policy; the message names what.
        """
        self._look_at(batch)
        # normalise input
        nobs = self.normalizer.normalize(batch["obs"])  # {key: (B, To or T, ...)}
        nactions = self.normalizer["action"].normalize(batch["action"])  # (B, T, Da)

        # handle different ways of passing observations
        features = self.encode(nobs, self.conditioning.training_obs_steps, generator)  # (B, To or T, Do)
        features, nactions, is_pad = (
            None
            if value is None
            else value.repeat_interleave(noise_draws, dim=0)  # B is B*draws from here on
            for value in (features, nactions, self._padding(batch))
        )
        given = self.conditioning.for_training(features, nactions, generator)
        trajectory = given.trajectory  # (B, T, D)

        # the forward process: noise of a random magnitude for each trajectory
        if noise is None or timesteps is None:
            drawn = self.process.draw(tuple(trajectory.shape), generator, trajectory.device)
            noise = drawn[0] if noise is None else noise  # (B, T, D)
            timesteps = drawn[1] if timesteps is None else timesteps  # (B,)
        noisy_trajectory = self.process.add_noise(trajectory, noise, timesteps)  # (B, T, D)

        # what is given is given without noise, and there is nothing to learn about it
        noisy_trajectory = clamp_conditioned(noisy_trajectory, given.condition_data, given.condition_mask)
        loss_mask = None if given.condition_mask is None else ~given.condition_mask  # (B, T, D)

        prediction = self.denoiser(noisy_trajectory, timesteps, **given.denoiser_inputs)
        target = self.process.target(trajectory, noise, timesteps)
        return masked_mse(prediction, target, loss_mask, is_pad=is_pad, reduction=reduction)

    def _look_at(self, batch: Mapping[str, Any]) -> None:
        """Checks a batch, its values once: looking at them at every step would make a GPU wait."""
        shapes = shapes_of(batch)
        if shapes == self._shapes:
            return
        config = self.config
        keys = get_task(config.task).observation(config.observation)
        check_batch(batch, keys, config.horizon, config.action_dim, self.conditioning.training_obs_steps)
        self._shapes = shapes

    def _padding(self, batch: Mapping[str, Any]) -> Tensor | None:
        if not self.config.exclude_padding:
            return None
        if "is_pad" not in batch:
            raise ConfigError("exclude_padding needs batch['is_pad'] (B, T), True where a window is padded")
        return batch["is_pad"][:, self.config.denoised]  # (B, T or Ta)

    # -------------------------------------------------------------------------------------- sampling

    def conditional_sample(
        self,
        condition_data: Tensor,
        condition_mask: Tensor | None = None,
        *,
        generator: Generators = None,
        callback: Callback | None = None,
        step_arguments: Mapping[str, Any] | None = None,
        **denoiser_inputs: Tensor,
    ) -> Tensor:
        """Walk from pure noise to a trajectory, keeping what is given (Ho et al. 2020, algorithm 2).

        Args:
            condition_data: the given entries at their places (B, T, D); its shape is the trajectory's.
            condition_mask: True where an entry is given (B, T, D), or None.
            generator: draws the noise; a list has one generator for each trajectory of the batch.
            callback: called as `callback(step_index, timestep, trajectory)` before each denoising step, and
                at the end with timestep -1.
            step_arguments: keyword arguments for each of the process's steps, such as DDIM's `eta`.
            **denoiser_inputs: what the denoiser takes beside the trajectory, such as `global_cond`.

        Returns:
            The denoised trajectory (B, T, D), normalised.
        """
        return self.process.sample(
            bind(self.denoiser, self.process, **denoiser_inputs),  # itself, or what is sooner on this machine
            condition_data,
            condition_mask,
            generator=generator,
            callback=callback,
            **(step_arguments or {}),
        )

    @torch.no_grad()
    def predict_action(
        self,
        obs: Mapping[str, Tensor],
        *,
        past_action: Tensor | None = None,
        generator: Generators = None,
        callback: Callback | None = None,
    ) -> dict[str, Tensor]:
        """The actions to execute now, from the last To observations.

        Runs in evaluation mode (no dropout, centre crops) and leaves the mode as it was.

        Args:
            obs: {key: (B, To, ...)}, in the simulator's units, the last step being now.
            past_action: the To-1 actions before now (B, To-1, Da), as the simulator takes them. Inpainting
                that sees them needs them; no other policy takes them.
            generator: see `conditional_sample`.
            callback: see `conditional_sample`.

        Returns:
            "action": the actions to execute (B, Ta, Da); "action_pred": the whole trajectory (B, T, Da); and
            for inpainting "obs_feature_pred": the observation features it filled in (B, T, Do), normalised.

        Raises:
            ConfigError: if observation or past actions do not fit the policy; the message names what.
        """
        keys = get_task(self.config.task).observation(self.config.observation)
        batch_size = check_observation(obs, keys, self.n_obs_steps)
        self.conditioning.check_past_action(past_action, batch_size)
        if past_action is not None:
            check_values("past_action", past_action, torch.float32)
        was_training = self.training
        self.eval()
        try:
            nobs = self.normalizer.normalize(obs)  # {key: (B, To, ...)}
            npast = None if past_action is None else self.normalizer["action"].normalize(past_action)
            features = self.encode(nobs, self.n_obs_steps)  # (B, To, Do)
            conditions = self.conditioning.for_sampling(features, npast)
            nsample = self.conditional_sample(
                conditions.condition_data,
                conditions.condition_mask,
                generator=generator,
                callback=callback,
                **conditions.denoiser_inputs,
            )  # (B, T, D)
        finally:
            self.train(was_training)

        Da = self.action_dim
        action_pred = self.normalizer["action"].unnormalize(nsample[..., :Da])  # (B, T, Da)
        result = {
            "action": action_pred[:, self.config.executed_of_trajectory],  # (B, Ta, Da)
            "action_pred": action_pred,
        }
        if nsample.shape[-1] > Da:
            result["obs_feature_pred"] = nsample[..., Da:]  # (B, T, Do)
        return result
