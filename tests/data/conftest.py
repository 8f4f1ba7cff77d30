"""Small files in robomimic's layout, written by hand so that each test decides every byte of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu.data.object_layout import seen_from_hand
from ddpm_edu.tasks import get_task

WriteFile = Callable[..., Path]


def unit_quaternions(generator: np.random.Generator, count: int) -> np.ndarray:
    quaternions = generator.normal(size=(count, 4))
    return quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """A function that writes demonstrations of given lengths and returns the file."""

    def write(
        lengths: Sequence[int] = (12, 5, 20),
        task: str = "can",
        images: bool = False,
        names: Sequence[str] | None = None,
        masks: dict[str, Sequence[str]] | None = None,
        name: str = "demonstrations.hdf5",
        compression: str | None = None,
        seed: int = 0,
    ) -> Path:
        path, generator = tmp_path / name, np.random.default_rng(seed)
        spec = get_task(task)
        names = [f"demo_{index}" for index in range(len(lengths))] if names is None else names
        with h5py.File(path, "w") as file:
            data = file.create_group("data")
            data.attrs["total"] = sum(lengths)
            data.attrs["env_args"] = json.dumps(
                {"env_name": spec.environment_name, "env_version": "1.5.2", "type": 1, "env_kwargs": {}}
            )
            for demo, length in zip(names, lengths, strict=True):
                group = data.create_group(demo)
                group.attrs["num_samples"] = length
                group.attrs["model_file"] = "<mujoco/>"

                def put(key: str, values: np.ndarray, group: h5py.Group = group) -> None:
                    group.create_dataset(key, data=values, compression=compression)

                put("actions", generator.uniform(-1, 1, (length, spec.action_dim)))
                put("states", generator.normal(size=(length, 71)))
                hand, world = generator.normal(size=(length, 3)), generator.normal(size=(length, 3))
                pointing_down = np.array([1.0, 0, 0, 0]) + 0.02 * generator.normal(size=(length, 4))
                pointing_down /= np.linalg.norm(pointing_down, axis=-1, keepdims=True)
                world = np.concatenate([world, unit_quaternions(generator, length)], axis=-1)
                seen = seen_from_hand(world, hand, pointing_down)
                put("obs/object", np.concatenate([world, seen], axis=-1))
                put("obs/robot0_eef_pos", hand)
                put("obs/robot0_eef_quat", pointing_down)
                put("obs/robot0_gripper_qpos", generator.uniform(0, 0.04, (length, 2)))
                if images:
                    for camera in ("agentview_image", "robot0_eye_in_hand_image"):
                        put(f"obs/{camera}", generator.integers(0, 256, (length, 84, 84, 3), np.uint8))
            for mask, members in (masks or {}).items():
                file[f"mask/{mask}"] = np.array(members, dtype="S")
        return path

    return write
