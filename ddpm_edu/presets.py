"""Named configurations: `laptop` for two CPU cores, `paper` for the sizes that were published.

The published values are those of Chi et al. 2023 (Diffusion Policy, tables in the appendix), read off the
released configurations where the paper is silent.
"""

from __future__ import annotations

from typing import Any, Literal

from ddpm_edu.config import (
    ConditioningName,
    Config,
    DenoiserName,
    NoiseConfig,
    PolicyConfig,
    TrainingConfig,
    TransformerConfig,
    UnetConfig,
    override,
)
from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import ObservationMode, Task, get_task

PresetName = Literal["laptop", "paper"]
PRESETS: tuple[PresetName, ...] = ("laptop", "paper")


def preset(
    task: str | Task = "can",
    denoiser: DenoiserName = "unet",
    conditioning: ConditioningName = "global",
    observation: ObservationMode = "low_dim",
    name: PresetName = "laptop",
    **overrides: Any,
) -> Config:
    """The configuration of a preset, with some settings replaced.

    Args:
        task: "can" or "square".
        denoiser: "unet" or "transformer".
        conditioning: "global", "local" or "inpainting".
        observation: "low_dim" or "image".
        name: "laptop" (two CPU cores) or "paper" (the published sizes).
        **overrides: settings to replace, see `ddpm_edu.config.override`.

    Raises:
        ConfigError: on an unknown name or an impossible combination.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset is {name!r}; the presets are {', '.join(map(repr, PRESETS))}")
    sizes = _laptop if name == "laptop" else _paper
    policy, training = sizes(denoiser, observation)
    chosen = {
        "task": get_task(task).name,
        "denoiser": denoiser,
        "conditioning": conditioning,
        "observation": observation,
    }
    config = Config(policy=override(PolicyConfig(), **{**policy, **chosen}), training=training)
    return override(config, **overrides)


def _laptop(denoiser: str, observation: str) -> tuple[dict[str, Any], TrainingConfig]:
    policy = {
        "unet": UnetConfig(down_dims=(64, 128, 256), diffusion_step_embed_dim=128),
        "transformer": TransformerConfig(n_layer=4, n_head=4, n_emb=128, p_drop_attn=0.0),
        "noise": NoiseConfig(scheduler="ddim", num_inference_steps=10),
    }
    batch_size, noise_draws = 128, 1
    if observation == "image":
        # Encoding pictures takes three quarters of a step. Eight noises for each: a step takes 14 % longer,
        # and after 300 steps on 40 demonstrations of Can the held-out loss is 0.125 instead of 0.153.
        batch_size, noise_draws = 32, 8
    shared = {"steps": 10_000, "batch_size": batch_size, "noise_draws": noise_draws}
    if denoiser == "unet":
        return policy, TrainingConfig(**shared, learning_rate=6e-4)
    # Held-out loss after 800 steps of Can (T = 10): 0.079 with dropout 0.1 at 6e-4; without dropout 0.067 at
    # 1e-3 and 0.061 at 2e-3. An image encoder keeps the rate that it is known to stand.
    learning_rate = 1.5e-3 if observation == "low_dim" else 6e-4
    return policy, TrainingConfig(**shared, learning_rate=learning_rate, betas=(0.9, 0.95), weight_decay=1e-3)


def _paper(denoiser: str, observation: str) -> tuple[dict[str, Any], TrainingConfig]:
    image = observation == "image"
    noise = NoiseConfig(scheduler="ddpm", num_inference_steps=100)
    # An epoch of the paper's Square data (200 demonstrations, about 30 000 windows) is 472 steps of 64 or
    # 118 steps of 256.
    batch_size, epochs = (64, 3050) if image else (256, 5000)
    steps = epochs * (472 if image else 118)
    if denoiser == "unet":
        unet = (
            UnetConfig(down_dims=(512, 1024, 2048), diffusion_step_embed_dim=128)
            if image
            else UnetConfig(down_dims=(256, 512, 1024), diffusion_step_embed_dim=256)
        )
        return {"unet": unet, "noise": noise}, TrainingConfig(
            steps=steps, batch_size=batch_size, learning_rate=1e-4, warmup_steps=500
        )
    policy = {"transformer": TransformerConfig(), "noise": noise, "horizon": 10}
    return policy, TrainingConfig(
        steps=steps,
        batch_size=batch_size,
        learning_rate=1e-4,
        warmup_steps=1000,
        betas=(0.9, 0.95),
        weight_decay=1e-3,
    )
