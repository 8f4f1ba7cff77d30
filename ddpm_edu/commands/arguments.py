"""The configuration as command-line options whose defaults are a preset's."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_type_hints

import tyro

from ddpm_edu.config import ConditioningName, Config, DataConfig, PolicyConfig, TrainingConfig
from ddpm_edu.denoisers import DENOISERS
from ddpm_edu.diffusion.processes import PROCESSES
from ddpm_edu.presets import PresetName, preset
from ddpm_edu.settings import from_dict, to_dict
from ddpm_edu.tasks import TASKS, ObservationMode


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


def default_settings(options: Sequence[str], program: str = "ddpm-edu train", **overrides: Any) -> Settings:
    """The settings that stand when nothing but the preset and the choices are named in `options`.

    `program` is what refusals name as the command.
    """

    @dataclass(frozen=True)
    class Selection:
        """The words that decide the defaults of all other options."""

        task: Literal[tuple(TASKS)] = "can"
        denoiser: Literal[tuple(DENOISERS)] = "unet"
        process: Literal[tuple(PROCESSES)] | None = None
        conditioning: ConditioningName = "global"
        observation: ObservationMode = "low_dim"
        preset: PresetName = "laptop"
        steps: int | None = None

    Selection.__annotations__ = get_type_hints(Selection, localns=globals())
    asked = [option for option in options if option not in ("-h", "--help")]
    chosen, _ = tyro.cli(Selection, prog=program, args=asked, return_unknown_args=True)
    if chosen.process is not None:
        overrides = {"process": chosen.process, **overrides}
    if chosen.steps is not None:  # a preset's warm-up is shorter than the run
        overrides = {"steps": chosen.steps, **overrides}
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

        def with_defaults(options: Sequence[str], program: str) -> Callable[..., Any]:
            """The command, its defaults being those of the preset that the options name."""
            default = as_options(default_settings(options, program, **overrides))
            # Without prefixes: `--horizon 16`, not `--settings.policy.horizon 16`. The names are unique.
            options_type = Annotated[type(default), tyro.conf.OmitArgPrefixes]
            settings = signature.parameters["settings"].replace(default=default, annotation=options_type)
            others = [parameter for name, parameter in signature.parameters.items() if name != "settings"]

            @functools.wraps(function)
            def command(settings: Any, **arguments: Any) -> Any:
                return function(settings=from_options(settings), **arguments)

            del command.__wrapped__  # tyro would read the annotations there
            parameters = [settings, *others]
            command.__signature__ = signature.replace(parameters=parameters)
            command.__annotations__ = {each.name: each.annotation for each in parameters}
            return command

        function.with_defaults = with_defaults
        return function

    return mark


# ------------------------------------------------------------------------------ settings as options


def as_options(group: Any) -> Any:
    """Settings in the shape of their plain containers: a choice is a name, its own settings beside it.

    The classes made here derive from the settings' own, where the help is found; they check nothing.
    """
    kind, fields = type(group), []
    hints = get_type_hints(kind)
    for setting in dataclasses.fields(kind):
        name, value, hint = setting.name, getattr(group, setting.name), hints[setting.name]
        if "choices" in setting.metadata:
            own = as_options(value)
            fields.append((name, Literal[tuple(setting.metadata["choices"])], value.name))
            fields.append((value.group_name(), type(own), own))
            continue
        if "names" in setting.metadata:
            hint = Literal[tuple(setting.metadata["names"])]
        elif dataclasses.is_dataclass(value):
            value = as_options(value)
            hint = type(value)
        fields.append((name, hint, value))
    values = {name: value for name, _, value in fields}
    made = dataclasses.make_dataclass(
        kind.__name__,
        [(name, hint, field(default_factory=lambda value=value: value)) for name, hint, value in fields],
        bases=(kind,),
        frozen=True,
        namespace={"__post_init__": lambda self: None, "__doc__": kind.__doc__},
    )
    return made(**values)


def from_options(options: Any) -> Settings:
    """The inverse of `as_options`."""
    values = to_dict(options)
    parts = {"policy": PolicyConfig, "data": DataConfig, "training": TrainingConfig}
    return Settings(values["preset"], **{name: from_dict(kind, values[name]) for name, kind in parts.items()})
