"""The environment that recorded a file, as its `env_args` describe it, held against the task's.

robomimic stores what `robosuite.make` was given. robosuite 1.4 wrote the arm's controller flat, with
`control_delta` and `damping`; 1.5 wrote it under `body_parts`, and renamed those to `input_type` and
`damping_ratio`. robomimic's published v1.5 files mix both: 1.5's nesting with 1.4's words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ddpm_edu.tasks import Task


@dataclass(frozen=True)
class RecordedEnvironment:
    """What matters of `env_args`; None where the file does not say it.

    Attributes:
        name: robosuite's name of the environment.
        version: robosuite's version.
        robots: their names.
        control_frequency: control steps per second.
        controller: of the arm, such as "OSC_POSE".
        delta: whether actions are differences to the present pose, not goals.
        scale: what +1 means for the first six entries of an action, metres and radians.
        frame: the frame of the actions, "base" or "world".
        flat: whether the controller is written as before robosuite 1.5.
        arm: all that the file says of the arm's controller.
    """

    name: str
    version: str | None = None
    robots: tuple[str, ...] | None = None
    control_frequency: float | None = None
    controller: str | None = None
    delta: bool | None = None
    scale: tuple[float, ...] | None = None
    frame: str | None = None
    flat: bool = False
    arm: Mapping[str, Any] = field(default_factory=dict)


def recorded_environment(env_args: Mapping[str, Any]) -> RecordedEnvironment:
    """Reads `env_args`, in the words of robosuite 1.4 or 1.5; what makes no sense counts as not said."""
    kwargs = _mapping(env_args.get("env_kwargs"))
    controller = _mapping(kwargs.get("controller_configs"))
    parts = _mapping(controller.get("body_parts"))
    flat = bool(controller) and not parts
    arm = controller if flat else _mapping(parts.get("right"))
    delta = arm.get("control_delta")
    if "input_type" in arm:
        delta = arm["input_type"] == "delta"
    robots = kwargs.get("robots")
    if isinstance(robots, str):
        robots = [robots]
    return RecordedEnvironment(
        name=env_args["env_name"],
        version=_text(env_args.get("env_version")),
        robots=tuple(map(str, robots)) if isinstance(robots, list) and robots else None,
        control_frequency=_number(kwargs.get("control_freq")),
        controller=_text(arm.get("type")),
        delta=delta if isinstance(delta, bool) else None,
        scale=_scale(arm.get("output_max")),
        frame=_text(arm.get("input_ref_frame")),
        flat=flat,
        arm=arm,
    )


def misfit(recorded: RecordedEnvironment, task: Task) -> str | None:
    """Why the file's actions would mean something else in the task's environment; None if they do not."""
    if recorded.robots not in (None, (task.robot,)):
        return f"was recorded with {', '.join(recorded.robots or ())}; the task needs one {task.robot}"
    if recorded.controller not in (None, "OSC_POSE"):
        return f"has actions of the controller {recorded.controller}; the task needs OSC_POSE's"
    if recorded.delta is False:
        return "has absolute actions (control_delta is false); the task needs delta actions"
    if recorded.control_frequency not in (None, task.control_frequency):
        return (
            f"was recorded at {recorded.control_frequency:g} control steps per second; the task runs at "
            f"{task.control_frequency}"
        )
    if recorded.scale is not None and not np.allclose(recorded.scale, task.action_scale[:6]):
        return f"has actions of scale {list(recorded.scale)}; the task's is {list(task.action_scale[:6])}"
    for name, (wanted, scale) in _CONTROLLER.items():
        found = recorded.arm.get(name)
        if scale:
            wanted = [sign * size for sign, size in zip(wanted, task.action_scale, strict=False)]
        if found is not None and not _equal(found, wanted):
            return (
                f"was recorded with the controller's {name} = {_short(found)}, which gives actions another "
                f"meaning; the task's is {_short(wanted)}"
            )
    if recorded.frame not in (None, "base", "world"):
        return f"has actions in the frame {_short(recorded.frame)}; the task's stand in the robot's base"
    return None


_CONTROLLER: dict[str, tuple[Any, bool]] = {
    "output_min": ([-1] * 6, True),
    "input_max": (1, False),
    "input_min": (-1, False),
    "kp": (150, False),
    "damping": (1, False),
    "damping_ratio": (1, False),
    "impedance_mode": ("fixed", False),
    "interpolation": (None, False),
    "position_limits": (None, False),
    "orientation_limits": (None, False),
    "uncouple_pos_ori": (True, False),
    "goal_update_mode": ("achieved", False),
}
"""What of a controller decides what an action does, as robosuite's default for these tasks has it; True where
it is in the units of the action's scale."""


def _equal(found: Any, wanted: Any) -> bool:
    if wanted is None:
        return found == "null"  # robosuite's own word for it, in some files
    if isinstance(wanted, (str, bool)) or isinstance(found, (str, bool)):
        return found == wanted
    try:
        found = np.asarray(found, float)  # one number, or one for each of six directions
        return found.shape in ((), (6,)) and bool(np.allclose(found, np.asarray(wanted, float)))
    except (TypeError, ValueError, OverflowError):
        return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON's whole numbers have no end
        return math.inf if value > 0 else -math.inf


def _scale(value: Any) -> tuple[float, ...] | None:
    if (number := _number(value)) is not None:
        return (number,) * 6
    numbers = [_number(entry) for entry in value] if isinstance(value, list) else []
    return tuple(numbers) if len(numbers) == 6 and None not in numbers else None
