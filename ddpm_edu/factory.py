"""Policies from configurations: the one place where the parts are put together."""

from __future__ import annotations

from typing import Any

from torch import nn

from ddpm_edu.conditioning import Conditioning, make_conditioning
from ddpm_edu.config import ConditioningName, DenoiserName, PolicyConfig
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.denoisers import ConditionalUnet1D, TransformerForDiffusion
from ddpm_edu.diffusion.schedule import make_noise_scheduler
from ddpm_edu.observation import make_obs_encoder
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.presets import PresetName
from ddpm_edu.presets import preset as make_preset
from ddpm_edu.tasks import ObservationMode, Task, get_task


def make_policy(
    task: str | Task = "can",
    denoiser: DenoiserName = "unet",
    conditioning: ConditioningName = "global",
    observation: ObservationMode = "low_dim",
    preset: PresetName = "laptop",
    **overrides: Any,
) -> DiffusionPolicy:
    """A policy with fresh weights, from a few words.

    Args:
        task: "can" or "square".
        denoiser: "unet" or "transformer".
        conditioning: "global", "local" (UNet only) or "inpainting".
        observation: "low_dim" (the simulator's state) or "image" (two cameras and proprioception).
        preset: "laptop" or "paper" (the published sizes).
        **overrides: any setting of `ddpm_edu.config.PolicyConfig` or its parts, such as `horizon=32` or
            `scheduler="ddpm"`.

    Returns:
        A `DiffusionPolicy`. Its normalizer is not fitted: `policy.normalizer.fit(demonstrations)`, or train.

    Raises:
        ConfigError: on an unknown name or an impossible combination, with the numbers.
    """
    config = make_preset(task, denoiser, conditioning, observation, preset, **overrides)
    return build_policy(config.policy)


def build_policy(config: PolicyConfig) -> DiffusionPolicy:
    """The policy of a configuration, with fresh weights from torch's global random state."""
    task = get_task(config.task)
    obs_encoder = make_obs_encoder(
        task,
        config.observation,
        group_norm=config.vision.group_norm,
        crop=config.vision.crop,
        reference_compatible=config.vision.reference_crops,
    )
    conditioning = make_conditioning(config, obs_encoder.obs_feature_dim)
    noise = config.noise
    return DiffusionPolicy(
        config,
        obs_encoder,
        conditioning,
        build_denoiser(config, conditioning),
        make_noise_scheduler(
            noise.scheduler,
            num_train_timesteps=noise.num_train_timesteps,
            beta_schedule=noise.beta_schedule,
            prediction_type=noise.prediction_type,
            clip_sample=noise.clip_sample,
        ),
        Normalizer.from_spec(task, config.observation, config.action),
    )


def build_denoiser(config: PolicyConfig, conditioning: Conditioning) -> nn.Module:
    """The network of a configuration, sized for a conditioning."""
    D = conditioning.trajectory_dim
    arguments = conditioning.denoiser_arguments()
    if config.denoiser == "unet":
        size = config.unet
        return ConditionalUnet1D(
            input_dim=D,
            down_dims=size.down_dims,
            diffusion_step_embed_dim=size.diffusion_step_embed_dim,
            kernel_size=size.kernel_size,
            n_groups=size.n_groups,
            cond_predict_scale=size.cond_predict_scale,
            reference_compatible=size.reference_compatible,
            **arguments,
        )
    size = config.transformer
    return TransformerForDiffusion(
        input_dim=D,
        output_dim=D,
        horizon=config.trajectory_steps,
        n_obs_steps=config.n_obs_steps,
        n_layer=size.n_layer,
        n_head=size.n_head,
        n_emb=size.n_emb,
        p_drop_emb=size.p_drop_emb,
        p_drop_attn=size.p_drop_attn,
        causal_attn=size.causal_attn,
        time_as_cond=size.time_as_cond,
        obs_as_cond=config.conditioning == "global",
        n_cond_layers=size.n_cond_layers,
        **arguments,
    )
