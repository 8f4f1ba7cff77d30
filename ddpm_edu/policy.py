"""`DiffusionPolicy`: observations in, a trajectory of actions out, by denoising.

One class for every combination of denoiser, conditioning and observation; what differs between them lives in
its parts. `compute_loss` and `conditional_sample` are the two halves of denoising diffusion (Ho et al. 2020)
applied to trajectories (Janner et al. 2022; Chi et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_edu.conditioning import Conditioning
from ddpm_edu.config import PolicyConfig
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.diffusion.forward import add_noise
from ddpm_edu.diffusion.masking import clamp_conditioned, masked_mse
from ddpm_edu.diffusion.parameterization import training_target
from ddpm_edu.diffusion.sampling import sample
from ddpm_edu.diffusion.schedule import NoiseSchedule
from ddpm_edu.errors import ConfigError
from ddpm_edu.policy_inputs import check_batch, check_observation


class DiffusionPolicy(nn.Module):
    """A policy of four parts, each replaceable on its own.

    Args:
        config: what decides the architecture.
        obs_encoder: observations (N, ...) by key to features (N, Do).
        conditioning: how the features reach the denoiser.
        denoiser: predicts epsilon, the clean trajectory or v from a noisy trajectory.
        noise_scheduler: a diffusers scheduler; any that shares the forward process may replace it.
        normalizer: observations and actions to the range in which diffusion works, and back.
    """

    def __init__(
        self,
        config: PolicyConfig,
        obs_encoder: nn.Module,
        conditioning: Conditioning,
        denoiser: nn.Module,
        noise_scheduler: Any,
        normalizer: Normalizer,
    ):
        super().__init__()
        self.config = config
        self.obs_encoder = obs_encoder
        self.conditioning = conditioning
        self.denoiser = denoiser
        self.noise_scheduler = noise_scheduler
        self.normalizer = normalizer
        self.num_inference_steps = config.noise.num_inference_steps

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

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.denoiser.parameters()).device

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
        check_batch(batch, self)
        # normalise input
        nobs = self.normalizer.normalize(batch["obs"])  # {key: (B, To or T, ...)}
        nactions = self.normalizer["action"].normalize(batch["action"])  # (B, T, Da)

        # handle different ways of passing observations
        features = self.encode(nobs, self.conditioning.training_obs_steps, generator)  # (B, To or T, Do)
        if noise_draws > 1:
            features = features.repeat_interleave(noise_draws, dim=0)  # (B*draws, To or T, Do)
            nactions = nactions.repeat_interleave(noise_draws, dim=0)  # (B*draws, T, Da)
        B = nactions.shape[0]
        conditions = self.conditioning.for_training(features, nactions, generator)
        trajectory = conditions.trajectory  # (B, T, D)

        # the forward diffusion process: noise of a random magnitude for each trajectory
        if noise is None:
            noise = torch.randn(trajectory.shape, device=trajectory.device, generator=generator)
        if timesteps is None:
            K = self.noise_scheduler.config.num_train_timesteps
            timesteps = torch.randint(0, K, (B,), device=trajectory.device, generator=generator)  # (B,)
        # By its own formula: DPM-Solver's `add_noise` depends on the steps it was last asked to sample in.
        schedule = NoiseSchedule.from_scheduler(self.noise_scheduler)
        noisy_trajectory = add_noise(schedule, trajectory, noise, timesteps)  # (B, T, D)

        # what is given is given without noise, and there is nothing to learn about it
        loss_mask = None
        if conditions.condition_mask is not None:
            noisy_trajectory = clamp_conditioned(
                noisy_trajectory, conditions.condition_data, conditions.condition_mask
            )
            loss_mask = ~conditions.condition_mask  # (B, T, D)

        prediction = self.denoiser(noisy_trajectory, timesteps, **conditions.denoiser_inputs)
        prediction_type = self.noise_scheduler.config.prediction_type
        target = training_target(schedule, trajectory, noise, timesteps, prediction_type)
        is_pad = self._padding(batch)
        if is_pad is not None and noise_draws > 1:
            is_pad = is_pad.repeat_interleave(noise_draws, dim=0)  # (B*draws, T)
        return masked_mse(prediction, target, loss_mask, is_pad=is_pad, reduction=reduction)

    def _padding(self, batch: Mapping[str, Any]) -> Tensor | None:
        if not self.config.exclude_padding:
            return None
        if "is_pad" not in batch:
            raise ConfigError("exclude_padding needs batch['is_pad'] (B, T), True where a window is padded")
        is_pad = batch["is_pad"]
        if self.config.pred_action_steps_only:
            start = self.n_obs_steps - 1
            is_pad = is_pad[:, start : start + self.n_action_steps]  # (B, Ta)
        return is_pad

    # -------------------------------------------------------------------------------------- sampling

    def conditional_sample(
        self,
        condition_data: Tensor,
        condition_mask: Tensor | None = None,
        *,
        generator: torch.Generator | list[torch.Generator] | None = None,
        callback: Callable[[int, int, Tensor], None] | None = None,
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
            step_arguments: keyword arguments for the scheduler's `step`.
            **denoiser_inputs: what the denoiser takes beside the trajectory, such as `global_cond`.

        Returns:
            The denoised trajectory (B, T, D), normalised.
        """
        prepare = getattr(self.denoiser, "prepare_sampling", None)  # see `denoisers.fast.accelerate_sampling`
        if prepare is not None:
            denoise = prepare(self.noise_scheduler, **denoiser_inputs)
        else:

            def denoise(trajectory: Tensor, timestep: Tensor) -> Tensor:
                return self.denoiser(trajectory, timestep, **denoiser_inputs)

        return sample(
            denoise,
            self.noise_scheduler,
            condition_data,
            condition_mask,
            num_inference_steps=self.num_inference_steps,
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
        generator: torch.Generator | list[torch.Generator] | None = None,
        callback: Callable[[int, int, Tensor], None] | None = None,
    ) -> dict[str, Tensor]:
        """The actions to execute now, from the last To observations.

        Runs in evaluation mode (no dropout, centre crops) and leaves the mode as it was.

        Args:
            obs: {key: (B, To, ...)}, in the simulator's units, the last step being now.
            past_action: the To-1 actions before now (B, To-1, Da); only for inpainting that sees them.
            generator: see `conditional_sample`.
            callback: see `conditional_sample`.

        Returns:
            "action": the actions to execute (B, Ta, Da); "action_pred": the whole trajectory (B, T, Da); and
            for inpainting "obs_feature_pred": the observation features it filled in (B, T, Do), normalised.

        Raises:
            ConfigError: if the observation does not fit the policy; the message names what.
        """
        check_observation(obs, self)
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

        Da, start = self.action_dim, self.conditioning.first_action_index()
        action_pred = self.normalizer["action"].unnormalize(nsample[..., :Da])  # (B, T, Da)
        result = {
            "action": action_pred[:, start : start + self.n_action_steps],  # (B, Ta, Da)
            "action_pred": action_pred,
        }
        if nsample.shape[-1] > Da:
            result["obs_feature_pred"] = nsample[..., Da:]  # (B, T, Do)
        return result
