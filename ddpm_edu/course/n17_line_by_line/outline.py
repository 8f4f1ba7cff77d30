"""The project's outline, its longer blocks as they stand there, so that the notebook can run them.

Not to be improved: their slips are what the notebook is about. Only the names that the outline takes for
granted are added, and layout.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor

from ddpm_edu.policy import DiffusionPolicy


def dict_apply(values: dict[str, Tensor], function: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """The reference's helper: the function of every value."""
    return {key: function(value) for key, value in values.items()}


def compute_loss(self: Any, batch: dict[str, Any]) -> Tensor:
    """The outline's UNet loss, line by line."""
    # normalize input
    assert "valid_mask" not in batch
    nobs = self.normalizer.normalize(batch["obs"])
    nactions = self.normalizer["action"].normalize(batch["action"])
    batch_size = nactions.shape[0]
    horizon = nactions.shape[1]

    # handle different ways of passing observation
    local_cond = None
    global_cond = None
    trajectory = nactions
    cond_data = trajectory
    if self.obs_as_global_cond:
        # reshape B, T, ... to B*T
        this_nobs = dict_apply(nobs, lambda x: x[:, : self.n_obs_steps, ...].reshape(-1, *x.shape[2:]))
        nobs_features = self.obs_encoder(this_nobs)
        # reshape back to B, Do
        global_cond = nobs_features.reshape(batch_size, -1)
    else:
        # reshape B, T, ... to B*T
        this_nobs = dict_apply(nobs, lambda x: x.reshape(-1, *x.shape[2:]))
        nobs_features = self.obs_encoder(this_nobs)
        # reshape back to B, T, Do
        nobs_features = nobs_features.reshape(batch_size, horizon, -1)
        cond_data = torch.cat([nactions, nobs_features], dim=-1)
        trajectory = cond_data.detach()

    # generate impainting mask
    condition_mask = self.mask_generator(trajectory.shape)

    # Sample noise that we'll add to the images
    noise = torch.randn(trajectory.shape, device=trajectory.device)
    bsz = trajectory.shape[0]
    # Sample a random timestep for each image
    timesteps = torch.randint(
        0, self.noise_scheduler.config.num_train_timesteps, (bsz,), device=trajectory.device
    ).long()
    # Add noise to the clean images according to the noise magnitude at each timestep
    # (this is the forward diffusion process)
    noisy_trajectory = self.noise_scheduler.add_noise(trajectory, noise, timesteps)

    # compute loss mask
    loss_mask = ~condition_mask

    # apply conditioning
    noisy_trajectory[condition_mask] = cond_data[condition_mask]

    # Predict the noise residual
    pred = self.model(noisy_trajectory, timesteps, local_cond=local_cond, global_cond=global_cond)

    pred_type = self.noise_scheduler.config.prediction_type
    if pred_type == "epsilon":
        target = noise
    elif pred_type == "sample":
        target = trajectory
    else:
        raise ValueError(f"Unsupported prediction type {pred_type}")

    loss = F.mse_loss(pred, target, reduction="none")
    loss = loss * loss_mask.type(loss.dtype)
    loss = reduce(loss, "b ... -> b (...)", "mean")
    return loss.mean()


def transformer_loss(self: Any, batch: dict[str, Any]) -> Tensor:
    """The outline's transformer loss, line by line."""
    # normalize input
    assert "valid_mask" not in batch
    nobs = self.normalizer.normalize(batch["obs"])
    nactions = self.normalizer["action"].normalize(batch["action"])
    batch_size = nactions.shape[0]
    horizon = nactions.shape[1]
    To = self.n_obs_steps

    # handle different ways of passing observation
    cond = None
    trajectory = nactions
    if self.obs_as_cond:
        # reshape B, T, ... to B*T
        this_nobs = dict_apply(nobs, lambda x: x[:, :To, ...].reshape(-1, *x.shape[2:]))
        nobs_features = self.obs_encoder(this_nobs)
        # reshape back to B, T, Do
        cond = nobs_features.reshape(batch_size, To, -1)
        if self.pred_action_steps_only:
            start = To - 1
            end = start + self.n_action_steps
            trajectory = nactions[:, start:end]
    else:
        # reshape B, T, ... to B*T
        this_nobs = dict_apply(nobs, lambda x: x.reshape(-1, *x.shape[2:]))
        nobs_features = self.obs_encoder(this_nobs)
        # reshape back to B, T, Do
        nobs_features = nobs_features.reshape(batch_size, horizon, -1)
        trajectory = torch.cat([nactions, nobs_features], dim=-1).detach()

    # generate impainting mask
    if self.pred_action_steps_only:
        condition_mask = torch.zeros_like(trajectory, dtype=torch.bool)
    else:
        condition_mask = self.mask_generator(trajectory.shape)

    # Sample noise that we'll add to the images
    noise = torch.randn(trajectory.shape, device=trajectory.device)
    bsz = trajectory.shape[0]
    # Sample a random timestep for each image
    timesteps = torch.randint(
        0, self.noise_scheduler.config.num_train_timesteps, (bsz,), device=trajectory.device
    ).long()
    # Add noise to the clean images according to the noise magnitude at each timestep
    # (this is the forward diffusion process)
    noisy_trajectory = self.noise_scheduler.add_noise(trajectory, noise, timesteps)

    # compute loss mask
    loss_mask = ~condition_mask

    # apply conditioning
    noisy_trajectory[condition_mask] = trajectory[condition_mask]

    # Predict the noise residual
    pred = self.model(noisy_trajectory, timesteps, cond)

    pred_type = self.noise_scheduler.config.prediction_type
    if pred_type == "epsilon":
        target = noise
    elif pred_type == "sample":
        target = trajectory
    else:
        raise ValueError(f"Unsupported prediction type {pred_type}")

    loss = F.mse_loss(pred, target, reduction="none")
    loss = loss * loss_mask.type(loss.dtype)
    loss = reduce(loss, "b ... -> b (...)", "mean")
    return loss.mean()


def conditional_sample(
    self: Any,
    condition_data: Tensor,
    condition_mask: Tensor,
    cond: Tensor | None = None,
    generator: torch.Generator | None = None,
    # keyword arguments to scheduler.step
    **kwargs: Any,
) -> Tensor:
    """The outline's sampling loop, line by line."""
    model = self.model
    scheduler = self.noise_scheduler

    trajectory = torch.randn(
        size=condition_data.shape,
        dtype=condition_data.dtype,
        device=condition_data.device,
        generator=generator,
    )

    # set step values
    scheduler.set_timesteps(self.num_inference_steps)

    for t in scheduler.timesteps:
        # 1. apply conditioning
        trajectory[condition_mask] = condition_data[condition_mask]

        # 2. predict model output
        model_output = model(trajectory, t, cond)

        # 3. compute previous image: x_t -> x_t-1
        trajectory = scheduler.step(model_output, t, trajectory, generator=generator, **kwargs).prev_sample

    # finally make sure conditioning is enforced
    trajectory[condition_mask] = condition_data[condition_mask]

    return trajectory


def as_the_outline_has_it(policy: DiffusionPolicy) -> SimpleNamespace:
    """One of the package's policies under the names that the outline uses for its parts.

    Args:
        policy: with a Gaussian process, observations told globally or filled in.
    """
    n_obs_steps, Da = policy.n_obs_steps, policy.action_dim

    def mask_generator(shape: torch.Size) -> Tensor:
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[:, :n_obs_steps, Da:] = True  # where there are observations in the trajectory
        return mask

    return SimpleNamespace(
        normalizer=policy.normalizer,
        obs_as_global_cond=policy.config.conditioning == "global",
        obs_as_cond=policy.config.conditioning == "global",
        pred_action_steps_only=policy.config.pred_action_steps_only,
        n_obs_steps=n_obs_steps,
        n_action_steps=policy.n_action_steps,
        obs_encoder=policy.obs_encoder,
        mask_generator=mask_generator,
        noise_scheduler=policy.noise_scheduler,
        num_inference_steps=policy.num_inference_steps,
        model=policy.denoiser,
    )
