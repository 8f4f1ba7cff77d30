"""The configuration as command-line options whose defaults are a preset's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from ddpm_edu.config import ConditioningName, Config, DataConfig, DenoiserName, PolicyConfig, TrainingConfig
from ddpm_edu.presets import PresetName, preset
from ddpm_edu.tasks import ObservationMode


@dataclass(frozen=True)
class Selection:
    """The words that choose a preset, and with it the defaults of all other options."""

    task: str = "can"
    denoiser: DenoiserName = "unet"
    conditioning: ConditioningName = "global"
    observation: ObservationMode = "low_dim"
    preset: PresetName = "laptop"


@dataclass(frozen=True)
class Settings:
    """A run's settings. Every default is that of --preset for the --task, --denoiser and --observation."""

    preset: PresetName = "laptop"
    """Sizes for two CPU cores (laptop), or the published ones (paper)."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @property
    def config(self) -> Config:
        """The configuration of the run."""
        return Config(self.policy, self.data, self.training)


# Without prefixes: `--horizon 16`, not `--settings.policy.horizon 16`. The names are unique in the tree.
SettingsOptions = Annotated[Settings, tyro.conf.OmitArgPrefixes]


def default_settings(options: Sequence[str], **overrides: Any) -> Settings:
    """The settings that stand when nothing but the preset is chosen in `options`."""
    asked = [option for option in options if option not in ("-h", "--help")]
    chosen, _ = tyro.cli(Selection, args=asked, return_unknown_args=True)
    config = preset(
        chosen.task, chosen.denoiser, chosen.conditioning, chosen.observation, chosen.preset, **overrides
    )
    return Settings(chosen.preset, config.policy, config.data, config.training)


def takes_settings(**overrides: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a command whose `settings` argument takes its defaults from the preset that the options name.

    Args:
        **overrides: settings in which the command differs from the preset.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function, eval_str=True)

        def with_defaults(options: Sequence[str]) -> Callable[..., Any]:
            """The command, its defaults being those of the preset that the options name."""
            settings = signature.parameters["settings"].replace(
                default=default_settings(options, **overrides)
            )
            others = [parameter for name, parameter in signature.parameters.items() if name != "settings"]

            @functools.wraps(function)
            def command(**arguments: Any) -> Any:
                return function(**arguments)

            command.__signature__ = signature.replace(parameters=[settings, *others])
            return command

        function.with_defaults = with_defaults
        return function

    return mark
