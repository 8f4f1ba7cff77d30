"""Random scenes: states that no demonstration went through, to teach an encoder where things are.

A demonstration shows hundreds of pictures of an object at one place. To tell poses, an encoder needs many
places and few pictures of each. Here every scene begins with a moment of a demonstration, and the arm's
joints are moved a little. An object in the hand moves with it and turns a little between the fingers; one
that lies is put down anywhere the task might begin, or beside where it was, so that half of them are near the
hand. Nothing is simulated: a scene is looked at, not acted in, and may be impossible.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ddpm_edu.data.hdf5 import open_hdf5
from ddpm_edu.data.object_layout import SCENES
from ddpm_edu.data.validation import data_group, demonstration_names, masked_names
from ddpm_edu.data.writer import Demonstration, DemonstrationWriter
from ddpm_edu.errors import ConfigError
from ddpm_edu.files import sha256
from ddpm_edu.simulation.env import ManipulationEnv, make_env
from ddpm_edu.tasks import Task, get_task

PER_DEMONSTRATION = 100
"""Scenes that stand together in the file as one demonstration."""
_LIFTED = 0.01  # metres above where it began: the object is in the hand


def scatter(source: str | Path, task: str | Task, n: int, out: str | Path, seed: int = 0) -> None:
    """Writes the states of n random scenes as robomimic HDF5, without pictures: `render` adds them.

    Args:
        source: demonstrations with their simulator states; those of mask "train" are begun from.
        task: their task.
        n: scenes.
        out: the file to make. Its actions are zeros: there is nothing to imitate.
        seed: decides the scenes; of more scenes with the same seed, the first are the same.

    Raises:
        ConfigError: if n is below 1.
        DatasetError: if the source is missing or broken.
    """
    if n < 1:
        raise ConfigError(f"n is {n}; at least 1 scene is wanted")
    task = get_task(task)
    states, floor = _states(Path(source))
    env = make_env(task)
    try:
        env.reset(seed=0)
        shaker = _Shaker(env, states, floor, np.random.default_rng([seed, 77]))
        attributes = {SCENES: json.dumps(scenes_from(source, n, seed))}
        with DemonstrationWriter(out, env.env_args(), seed=seed, attributes=attributes) as writer:
            for first in range(0, n, PER_DEMONSTRATION):
                scenes = np.stack([shaker.scene() for _ in range(min(PER_DEMONSTRATION, n - first))])
                nothing = np.zeros((len(scenes), task.action_dim))
                unlike = {SCENES: True}
                writer.add(Demonstration({}, nothing, scenes, np.zeros(len(scenes)), env.model_xml, unlike))
    finally:
        env.close()


def scenes_from(source: str | Path, n: int, seed: int) -> dict[str, Any]:
    """What scenes are made from, by the options of ddpm-edu see; see `ddpm_edu.data.made_from`."""
    return {"states": sha256(source), "scenes": n, "seed": seed}


def _states(source: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of all training steps: the state (N, S), and the demonstration's first one (N, S)."""
    with open_hdf5(source, "name demonstrations that have states, such as those in data/") as file:
        data = data_group(file)
        names = masked_names(file, "train", demonstration_names(data))
        states = [np.asarray(data[name]["states"], np.float64) for name in names]
    return np.concatenate(states), np.concatenate([np.repeat(s[:1], len(s), axis=0) for s in states])


class _Shaker:
    """Draws scenes, one after the other."""

    def __init__(self, env: ManipulationEnv, states: np.ndarray, first: np.ndarray, rng: np.random.Generator):
        model, robot = env._env.sim.model._model, env._env.robots[0]
        body = env._env.sim.model.body_name2id(env.task.object_body)
        start = 1 + model.jnt_qposadr[model.body_jntadr[body]]  # a state begins with the time
        self._object = slice(start, start + 7)
        self._arm = [1 + int(index) for index in robot._ref_joint_pos_indexes]
        self._grip = robot.eef_site_id["right"]
        self._sim, self._states, self._rng = env._env.sim, states, rng
        self._floor = first[:, self._object][:, 2]  # (N,) height at which the object lay
        begun = first[:, self._object][:, :2]
        self._low, self._high = begun.min(axis=0) - 0.01, begun.max(axis=0) + 0.01

    def scene(self) -> np.ndarray:
        """The state (S,) of the next scene."""
        rng = self._rng
        row = rng.integers(len(self._states))
        state = self._states[row].copy()
        hand, turn = self._hand(state)
        state[self._arm] += rng.normal(0, 0.04, len(self._arm))
        thing = state[self._object].copy()  # position, then quaternion (w, x, y, z)
        if thing[2] > self._floor[row] + _LIFTED:
            moved, turned = self._hand(state)
            rotation = turned @ turn.T
            thing[:3] = moved + rotation @ (thing[:3] - hand) + rng.normal(0, 0.004, 3)
            slip = _quaternion(rng.normal(0, 0.08, 3))
            thing[3:] = _product(_product(_of_matrix(rotation), slip), thing[3:])
        elif rng.random() < 0.5:
            thing[:2] = rng.uniform(self._low, self._high)
            thing[3:] = _product(_quaternion(np.array([0, 0, rng.uniform(-np.pi, np.pi)])), thing[3:])
        else:
            thing[:3] += rng.normal(0, 1, 3) * [0.015, 0.015, 0.003]
            thing[3:] = _product(_quaternion(rng.normal(0, 1, 3) * [0.03, 0.03, 0.3]), thing[3:])
        state[self._object] = thing
        return state

    def _hand(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation (3, 3) of the hand."""
        self._sim.set_state_from_flattened(state)
        self._sim.forward()
        data = self._sim.data
        return np.array(data.site_xpos[self._grip]), np.array(data.site_xmat[self._grip]).reshape(3, 3)


def _quaternion(axis_angle: np.ndarray) -> np.ndarray:
    """Axis times angle (3,) to a quaternion (w, x, y, z)."""
    angle = np.linalg.norm(axis_angle)
    return np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis_angle / max(angle, 1e-9))])


def _of_matrix(rotation: np.ndarray) -> np.ndarray:
    import mujoco

    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, rotation.flatten())
    return quaternion


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The rotation `second`, then `first`; quaternions (w, x, y, z)."""
    import mujoco

    result = np.empty(4)
    mujoco.mju_mulQuat(result, first, second)
    return result
