"""Real demonstrations, written as robomimic's published files have them: v1.5, v1.4.1, and raw.

Key names, orders, dtypes and the words of `env_args` are those of the published files; the numbers are the
shipped demonstrations'.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

_ARM_OF_1_4 = {
    "type": "OSC_POSE",
    "input_max": 1,
    "input_min": -1,
    "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
    "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5],
    "kp": 150,
    "damping": 1,
    "impedance_mode": "fixed",
    "kp_limits": [0, 300],
    "damping_limits": [0, 10],
    "position_limits": None,
    "orientation_limits": None,
    "uncouple_pos_ori": True,
    "control_delta": True,
    "interpolation": None,
    "ramp_ratio": 0.2,
}
_ARM_OF_1_5 = {**_ARM_OF_1_4, "input_ref_frame": "world", "gripper": {"type": "GRIP"}}


def env_args(environment: str, version: str) -> dict:
    controller = (
        {"type": "BASIC", "body_parts": {"right": _ARM_OF_1_5}} if version[:3] == "1.5" else _ARM_OF_1_4
    )
    return {
        "env_name": environment,
        "env_version": version,
        "type": 1,
        "env_kwargs": {
            "has_renderer": False,
            "has_offscreen_renderer": False,
            "ignore_done": True,
            "use_object_obs": True,
            "use_camera_obs": False,
            "control_freq": 20,
            "controller_configs": controller,
            "robots": ["Panda"],
            "camera_depths": False,
            "camera_heights": 84,
            "camera_widths": 84,
            "reward_shaping": False,
        },
    }


def write_official(
    source: Path,
    out: Path,
    version: str = "1.5.1",
    demonstrations: Sequence[int] = (0, 1, 2),
    raw: bool = False,
) -> Path:
    """Some demonstrations of a file of ours in the published layout of robosuite `version`."""
    with h5py.File(source) as ours, h5py.File(out, "w") as file:
        environment = json.loads(ours["data"].attrs["env_args"])["env_name"]
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(env_args(environment, version), indent=4)
        total = 0
        for index in demonstrations:
            theirs, group = ours[f"data/demo_{index}"], data.create_group(f"demo_{index}")
            length = len(theirs["actions"])
            total += length
            group.attrs["num_samples"] = length
            group.attrs["model_file"] = theirs.attrs["model_file"]
            for key in ("actions", "states", "rewards", "dones"):
                group[key] = theirs[key][:]
            if raw:
                continue
            observations = _observations({key: value[:] for key, value in theirs["obs"].items()}, version)
            for key, values in observations.items():
                group[f"obs/{key}"] = values
                group[f"next_obs/{key}"] = np.concatenate([values[1:], values[-1:]])
        data.attrs["total"] = total
        names = [f"demo_{index}" for index in demonstrations]
        masks = {
            "train": names[:-1],
            "valid": names[-1:],
            "20_percent": names[:1],
            "20_percent_train": names[:1],
        }
        for mask, members in masks.items():
            file[f"mask/{mask}"] = np.array(members, dtype="S")
    return out


def _observations(obs: dict[str, np.ndarray], version: str) -> dict[str, np.ndarray]:
    length = len(obs["object"])
    if version[:3] == "1.5":
        # What is seen from the hand comes first, lags by one step, and begins with zeros.
        seen = np.concatenate([np.zeros((1, 7)), obs["object"][:-1, 7:]])
        obs["object"] = np.concatenate([seen, obs["object"][:, :7]], axis=-1)
        obs["robot0_eef_quat_site"] = obs["robot0_eef_quat"]
    else:
        obs["robot0_eef_vel_ang"] = obs["robot0_eef_vel_lin"] = np.zeros((length, 3))
    for name, width in (("gripper_qvel", 2), ("joint_pos", 7), ("joint_vel", 7)):
        obs[f"robot0_{name}"] = np.zeros((length, width))
    obs["robot0_joint_pos_cos"] = obs["robot0_joint_pos_sin"] = np.zeros((length, 7))
    return {key: np.asarray(values, np.float64) for key, values in obs.items()}
