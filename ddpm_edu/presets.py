"""Named configurations: `laptop` for two CPU cores, `paper` for the sizes that were published.

What a denoiser wants in a preset stands beside its network (`DenoiserConfig.preset`); here is what all share.
The published values are those of Chi et al. 2023 (Diffusion Policy, tables in the appendix), read off the
released configurations where the paper is silent.
"""

from __future__ import annotations

from typing import Any, Literal

from ddpm_edu.config import ConditioningName, Config, PolicyConfig, TrainingConfig
from ddpm_edu.denoisers import DENOISERS, DenoiserConfig
from ddpm_edu.diffusion.processes import GaussianConfig
from ddpm_edu.settings import one_of, override
from ddpm_edu.tasks import ObservationMode, Task, get_task

PresetName = Literal["laptop", "paper"]
PRESETS: tuple[PresetName, ...] = ("laptop", "paper")


def preset(
    task: str | Task = "can",
    denoiser: str | DenoiserConfig = "unet",
    conditioning: ConditioningName = "global",
    observation: ObservationMode = "low_dim",
    name: PresetName = "laptop",
    **overrides: Any,
) -> Config:
    """The configuration of a preset, with some settings replaced.

    Args:
        task: a task or its name.
        denoiser: the name of a denoiser, "unet" or "transformer", or its settings.
        conditioning: "global", "local" or "inpainting".
        observation: "low_dim" or "image".
        name: "laptop" (two CPU cores) or "paper" (the published sizes).
        **overrides: settings to replace, see `ddpm_edu.settings.override`.

    Raises:
        ConfigError: on an unknown name or an impossible combination.
    """
    one_of("preset", name, PRESETS)
    kind = DENOISERS.get(denoiser)
    own = (kind if isinstance(kind, type) else type(kind)).preset(name, observation)
    process, training = _laptop(observation) if name == "laptop" else _paper(observation)
    policy = {
        "task": get_task(task).name,
        "denoiser": own.denoiser if isinstance(kind, type) else kind,
        "conditioning": conditioning,
        "observation": observation,
        "process": process,
    }
    config = Config(
        PolicyConfig(**{**policy, **own.policy}), training=TrainingConfig(**{**training, **own.training})
    )
    asked = any(setting == "training" or setting.endswith("warmup_steps") for setting in overrides)
    if name == "laptop":
        overrides = {**get_task(task).laptop, **overrides}
    config = override(config, **overrides)
    if config.training.warmup_steps >= config.training.steps and not asked:
        # The preset's warm-up is meant for its own steps.
        config = override(config, warmup_steps=config.training.steps // 10)
    return config


def _laptop(observation: str) -> tuple[GaussianConfig, dict[str, Any]]:
    batch_size, noise_draws = 128, 1
    if observation == "image":
        # Encoding pictures takes three quarters of a step. Eight noises for each: a step takes 14 % longer,
        # and after 300 steps on 40 demonstrations of Can the held-out loss is 0.125 instead of 0.153.
        batch_size, noise_draws = 32, 8
    training = {"steps": 10_000, "batch_size": batch_size, "noise_draws": noise_draws}
    return GaussianConfig(scheduler="ddim", num_inference_steps=10), training


def _paper(observation: str) -> tuple[GaussianConfig, dict[str, Any]]:
    # An epoch of the paper's Square data (200 demonstrations, about 30 000 windows) is 472 steps of 64 or
    # 118 steps of 256.
    batch_size, epochs, of_epoch = (64, 3050, 472) if observation == "image" else (256, 5000, 118)
    training = {"steps": epochs * of_epoch, "batch_size": batch_size}
    return GaussianConfig(scheduler="ddpm", num_inference_steps=100), training
