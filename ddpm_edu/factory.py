"""Policies from configurations: the one place where the parts are put together."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ddpm_edu.conditioning import make_conditioning
from ddpm_edu.config import ConditioningName, PolicyConfig
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.data.validation import available_memory, in_units
from ddpm_edu.denoisers import DenoiserConfig, DenoiserSpec
from ddpm_edu.errors import ConfigError
from ddpm_edu.observation import make_obs_encoder
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.presets import PresetName
from ddpm_edu.presets import preset as make_preset
from ddpm_edu.tasks import ObservationMode, Task, get_task


def make_policy(
    task: str | Task = "can",
    denoiser: str | DenoiserConfig = "unet",
    conditioning: ConditioningName = "global",
    observation: ObservationMode = "low_dim",
    preset: PresetName = "laptop",
    **overrides: Any,
) -> DiffusionPolicy:
    """A policy with fresh weights, from a few words.

    Args:
        task: a task or its name, such as "can" or "square".
        denoiser: the name of a denoiser, such as "unet" or "transformer", or its settings.
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
        backbone=config.vision.backbone,
        tells=config.vision.tells,
        group_norm=config.vision.group_norm,
        crop=config.vision.crop,
        reference_compatible=config.vision.reference_crops,
    )
    conditioning = make_conditioning(config, obs_encoder.obs_feature_dim)
    return DiffusionPolicy(
        config,
        obs_encoder,
        conditioning,
        build_denoiser(config.denoiser, conditioning.denoiser_spec()),
        config.process.build(),
        Normalizer.from_spec(task, config.observation, config.action),
    )


def build_denoiser(config: DenoiserConfig, spec: DenoiserSpec) -> nn.Module:
    """The network of a configuration.

    Raises:
        ConfigError: for sizes that cannot work, or need more memory than there is.
    """
    try:
        with torch.device("meta"):  # without numbers: what it would take
            size = sum(value.numel() * value.element_size() for value in config.build(spec).parameters())
        if size > (memory := available_memory()):
            raise MemoryError(f"its weights alone take {in_units(size)}, and {in_units(memory)} are free")
        return config.build(spec)
    except (MemoryError, OverflowError, RuntimeError) as error:  # torch says both with a RuntimeError
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise ConfigError(f"the denoiser {config} cannot be built: {reason}; take smaller sizes") from error
