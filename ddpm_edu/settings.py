"""What every group of settings has in common: ranges, choices, plain containers, and overriding by name.

A group is a frozen dataclass. It refuses what cannot work when it is made, in one line with the numbers, so
that nobody trains for an hour before a shape error tells them. As plain containers, a choice is its name and
a group of its own settings: `{"denoiser": "unet", "unet": {"down_dims": [64, 128, 256]}}`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import numbers
import types
import typing
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

from ddpm_edu.errors import ConfigError
from ddpm_edu.registry import Registry

# ---------------------------------------------------------------------------------------------- fields


def number(
    default: Any,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A field of one number, or a tuple of them, with its range; see `check_number`."""
    return field(
        default=default, metadata={"range": {"least": least, "most": most, "above": above, "below": below}}
    )


def choice(registry: Registry, default: str) -> Any:
    """A field whose value is the settings of one of a registry's choices; a name stands for its defaults."""
    return field(
        default_factory=lambda: registry.get(default)(), metadata={"choices": registry, "default": default}
    )


def named(registry: Registry, default: str) -> Any:
    """A field whose value is the name of one of a registry's choices."""
    return field(default=default, metadata={"names": registry})


def check_number(
    name: str,
    value: float,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Refuses a number outside its range; NaN and infinity lie in none.

    Raises:
        ConfigError: with the name, the value and the range.
    """
    inside = (
        -math.inf < value < math.inf  # math.isfinite cannot read the largest whole numbers
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )
    if inside:
        return
    limits = {"at least": least, "above": above, "at most": most, "below": below}
    wanted = [f"{words} {limit:,}" for words, limit in limits.items() if limit is not None]
    raise ConfigError(f"{name} is {value}; it must be {' and '.join(wanted) or 'a finite number'}")


def at_least(name: str, value: int, least: int = 1) -> None:
    """Refuses what is no whole number, and a smaller one.

    Raises:
        ConfigError: with the name, what was found and what is wanted.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; it must be a whole number of at least {least:,}")
    check_number(name, value, least=least)


def one_of(name: str, value: Any, choices: typing.Iterable[Any]) -> None:
    """Refuses what is not among the choices.

    Raises:
        ConfigError: with the value and the choices.
    """
    if value not in (choices := tuple(choices)):
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}")


@dataclass(frozen=True)
class Group:
    """A group of settings that checks its types, ranges and names when it is made.

    What says the same in another type becomes the setting's own: `[0.9, 0.95]` the tuple, 1 the float 1.0,
    1e4 the whole number 10000. A type that went unseen would come back from no file.
    """

    where: ClassVar[str] = ""
    """Written before a setting's name in messages: "training."."""

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for setting in dataclasses.fields(self):
            value, name = getattr(self, setting.name), f"{self.where}{setting.name}"
            registry = setting.metadata.get("choices")
            if registry is None:
                if "names" in setting.metadata:
                    value = getattr(value, "name", value)  # of one of the choices itself
                    setting.metadata["names"].get(value)
                value = _convert(hints[setting.name], value, name)
            elif isinstance(value, str):
                value = registry.get(value)()
            elif not isinstance(value, hints[setting.name]):
                raise ConfigError(
                    f"setting {name} is {value!r}; it must be the name or the settings of a {registry.kind}"
                )
            object.__setattr__(self, setting.name, value)  # frozen for all others
            limits = setting.metadata.get("range")
            if limits is not None and value is not None:
                for entry in value if isinstance(value, tuple) else (value,):
                    check_number(name, entry, **limits)

    @classmethod
    def group_name(cls) -> str:
        """The key of a choice's own settings in plain containers: its name, unless it says otherwise."""
        return cls.name


G = TypeVar("G", bound=Group)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


# ------------------------------------------------------------------------------------ plain containers


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain containers; `from_dict` is its inverse."""
    values: dict[str, Any] = {}
    for setting in dataclasses.fields(config):
        value = getattr(config, setting.name)
        if "choices" in setting.metadata:
            values[setting.name], values[value.group_name()] = value.name, to_dict(value)
        else:
            values[setting.name] = to_dict(value) if dataclasses.is_dataclass(value) else value
    return json.loads(json.dumps(values))


def from_dict(kind: type[G], values: dict[str, Any], where: str = "") -> G:
    """A configuration of dataclass `kind` from plain containers.

    Settings of choices that were not taken are passed over: older files have all of them.

    Raises:
        ConfigError: on an unknown name, a value of the wrong type, or an impossible combination.
    """
    hints = _hints(kind)
    settings = {setting.name: setting for setting in dataclasses.fields(kind)}
    taken, groups = {}, set()
    for name, setting in settings.items():
        registry = setting.metadata.get("choices")
        if registry is None:
            continue
        chosen = values.get(name, setting.metadata["default"])
        if not isinstance(chosen, str):
            raise ConfigError(f"setting {where}{name} is {chosen!r}; it must be a name")
        config = registry.get(chosen)
        own = values.get(config.group_name(), {})
        if not isinstance(own, dict):
            raise ConfigError(
                f"setting {where}{config.group_name()} is {own!r}; it must be a group of settings"
            )
        taken[name] = from_dict(config, own, f"{where}{config.group_name()}.")
        groups |= {other.group_name() for other in registry.values()}
    unknown = sorted(set(values) - set(settings) - groups)
    if unknown:
        raise ConfigError(
            f"unknown setting {where}{unknown[0]}; the settings there are {', '.join(settings)}"
        )
    plain = {
        name: _convert(hints[name], value, f"{where}{name}")
        for name, value in values.items()
        if name in settings and name not in taken
    }
    return kind(**plain, **taken)


def override(config: G, **overrides: Any) -> G:
    """A copy of a configuration with some settings replaced, at any depth.

    A name that only one part has is found there: `override(config, scheduler="ddpm")`. A double underscore
    or a dot steps into a part: `override(config, noise__scheduler="ddpm")`. Another choice by its name,
    `override(config, denoiser="transformer")`, has the defaults of its own settings.

    Raises:
        ConfigError: if a name is unknown or stands in several parts.
    """
    values = to_dict(config)
    # Choices first: they decide which other names there are.
    choices = _choices(type(config))
    for name in sorted(overrides, key=lambda name: name not in choices):
        value = overrides[name]
        *parts, last = _find(values, name)
        node = values
        for part in parts:
            node = node[part]
        if last in choices:
            chosen = choices[last].get(value)
            chosen = chosen() if isinstance(chosen, type) else chosen
            if node[last] != chosen.name or not isinstance(value, str):
                del node[choices[last].get(node[last]).group_name()]
                node[last], node[chosen.group_name()] = chosen.name, to_dict(chosen)
        else:
            node[last] = to_dict(value) if dataclasses.is_dataclass(value) else value
    return from_dict(type(config), values)


def differences(old: dict[str, Any], new: dict[str, Any], group: str = "") -> list[tuple[str, Any, Any]]:
    """What two configurations, as of `to_dict`, differ in: (dotted name, old value, new value) of each.

    A setting that only one of them has counts with None on the other side.
    """
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{group}{name}.")
        elif before != after:
            found.append((f"{group}{name}", before, after))
    return found


def _choices(kind: type) -> dict[str, Registry]:
    """The fields of a tree of settings whose value is a choice."""
    found: dict[str, Registry] = {}
    hints = _hints(kind)
    for setting in dataclasses.fields(kind):
        if "choices" in setting.metadata:
            found[setting.name] = setting.metadata["choices"]
        elif dataclasses.is_dataclass(hints[setting.name]):
            found |= _choices(hints[setting.name])
    return found


def _find(values: dict[str, Any], name: str) -> list[str]:
    """The path of a setting in a tree, from a name that may leave out the parts it stands in."""
    path = name.replace("__", ".").split(".")
    if path[0] not in values:
        found = _paths(values, path[0])
        if len(found) > 1:
            places = ", ".join(".".join(place) for place in found)
            raise ConfigError(f"setting {name} stands in several parts: {places}; name the one you mean")
        path = [*(found[0] if found else path[:1]), *path[1:]]
    node = values
    for part in path[:-1]:
        if not isinstance(node.get(part), dict):
            raise ConfigError(f"unknown setting {name}")
        node = node[part]
    if path[-1] not in node:
        raise ConfigError(f"unknown setting {name}; the settings there are {', '.join(node)}")
    return path


def _paths(values: dict[str, Any], name: str, prefix: tuple[str, ...] = ()) -> list[list[str]]:
    """Every path in a tree of settings that ends in `name`."""
    found = [[*prefix, name]] if name in values else []
    for part, child in values.items():
        if isinstance(child, dict):
            found += _paths(child, name, (*prefix, part))
    return found


def _convert(hint: Any, value: Any, where: str) -> Any:
    """A setting's value as its hint wants it.

    Raises:
        ConfigError: where it says something else; with the setting's name, what was found and what is wanted.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_to_one(arguments, value, where)
    if origin is Literal:
        one_of(where, value, arguments)
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"setting {where} is {value!r}; it must be a list")
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        kinds = [arguments[0]] * len(value) if variadic else list(arguments)
        if len(kinds) != len(value):
            raise ConfigError(f"setting {where} has {len(value)} entries; it must have {len(kinds)}")
        return tuple(_convert(kind, entry, where) for kind, entry in zip(kinds, value, strict=True))
    kind = origin or hint
    if kind in (int, float):
        return _convert_number(kind, value, where)
    if dataclasses.is_dataclass(kind) and not isinstance(value, kind):
        if not isinstance(value, dict):
            raise ConfigError(f"setting {where} is {value!r}; it must be a group of settings")
        return from_dict(kind, value, f"{where}.")
    if isinstance(kind, type) and not isinstance(value, kind):
        raise ConfigError(f"setting {where} is {value!r}; it must be of type {kind.__name__}")
    return value


def _convert_to_one(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The value as the first of several types that takes it; the first one's refusal where none does."""
    if value is None and type(None) in kinds:
        return None
    refusals = []
    for kind in kinds:
        try:
            return _convert(kind, value, where)
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]


def _convert_number(kind: type[int] | type[float], value: Any, where: str) -> int | float:
    whole = isinstance(value, numbers.Integral) or (isinstance(value, numbers.Real) and value % 1 == 0)
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or (kind is int and not whole):
        raise ConfigError(f"setting {where} is {value!r}; it must be of type {kind.__name__}")
    try:
        return kind(value)
    except OverflowError:
        raise ConfigError(f"setting {where} has more digits than a {kind.__name__} holds") from None
