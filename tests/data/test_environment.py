"""What of a recorded controller gives actions another meaning is refused; all else is not."""

from __future__ import annotations

from typing import Any

import pytest

from ddpm_edu.data.environment import misfit, recorded_environment
from ddpm_edu.tasks import get_task

RIGHT = {
    "type": "OSC_POSE", "input_max": 1, "input_min": -1, "kp": 150, "damping_ratio": 1,
    "output_max": [0.05] * 3 + [0.5] * 3, "output_min": [-0.05] * 3 + [-0.5] * 3, "impedance_mode": "fixed",
    "position_limits": None, "uncouple_pos_ori": True, "input_type": "delta", "input_ref_frame": "base",
    "interpolation": "null", "ramp_ratio": 0.2,
}  # fmt: skip


def said(flat: bool = False, **changes: Any) -> str | None:
    arm = {**RIGHT, **changes}
    controller = arm if flat else {"type": "BASIC", "body_parts": {"right": arm}}
    kwargs = {"robots": ["Panda"], "control_freq": 20, "controller_configs": controller}
    return misfit(recorded_environment({"env_name": "PickPlaceCan", "env_kwargs": kwargs}), get_task("can"))


@pytest.mark.parametrize("flat", [False, True])
def test_a_controller_like_the_tasks_is_read(flat: bool) -> None:
    assert said(flat) is None
    assert said(flat, kp=[150.0] * 6, ramp_ratio=0.5, kp_limits=[0, 100]) is None


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kp", 50),
        ("kp", [150, 150, 150, 150, 150, 100]),
        ("kp", [150, 150]),
        ("damping_ratio", 2),
        ("input_max", 2),
        ("input_min", 0),
        ("output_min", -0.1),
        ("output_min", [-0.05] * 6),
        ("impedance_mode", "variable_kp"),
        ("interpolation", "linear"),
        ("position_limits", [[-1, -1, -1], [1, 1, 1]]),
        ("uncouple_pos_ori", False),
    ],
)
def test_what_changes_the_meaning_of_an_action_is_refused(flat: bool, name: str, value: object) -> None:
    assert f"the controller's {name} = {value!r}" in said(flat, **{name: value})


def test_actions_in_the_hands_own_frame_are_refused() -> None:
    assert "in the frame 'eef'" in said(input_ref_frame="eef")
