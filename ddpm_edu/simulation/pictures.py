"""Are pictures and hand of a file what its states say? Some are computed anew and held against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from ddpm_edu.data.hdf5 import get_member, open_hdf5, place
from ddpm_edu.data.object_layout import SCENES, to_task
from ddpm_edu.data.validation import check_layout, data_group, demonstration_names
from ddpm_edu.errors import DatasetError
from ddpm_edu.simulation.env import ManipulationEnv, make_env
from ddpm_edu.tasks import Task

_FAR = 12.0
"""Mean difference, of 255: two renderers of one scene are 1 to 3 apart."""
_HAND_FAR, _HAND_TURNED = 0.02, 3.0
"""Metres and degrees: our own files' hands are 0 off, a sensor that lags by a physics step 1 mm and 0.2."""

# What may have been done to pictures (steps, height, width, 3), and how to say it.
_WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "stand upside down": lambda pictures: pictures[:, ::-1],
    "are mirrored": lambda pictures: pictures[:, :, ::-1],
    "are turned by half a turn": lambda pictures: pictures[:, ::-1, ::-1],
    "have red and blue exchanged": lambda pictures: pictures[..., ::-1],
    "run backwards in time": lambda pictures: pictures[::-1],
}


# What may have been done to quaternions (N, 4), x y z w, and how to say it.
_TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "has w first (w x y z)": lambda quat: np.roll(quat, -1, axis=-1),
    "is the hand's inverse rotation": lambda quat: quat * [-1, -1, -1, 1],
    "is the hand's inverse rotation with w first": lambda quat: np.roll(quat, -1, axis=-1) * [-1, -1, -1, 1],
}


def compare_with_states(path: str | Path, task: Task) -> Iterator[str]:
    """Puts three states of every demonstration into the simulator: a line for each hand, and for each camera
    of the first demonstration, that they do not explain.

    Args:
        path: a file with images, states and models.
        task: the file's.

    Raises:
        DatasetError: if a demonstration is broken.
        SimulatorError: if nothing can be rendered here, or the model cannot be loaded.
    """
    env = make_env(task, "image")
    try:
        yield from _compare_pictures(Path(path), env)
        yield from _compare_hands(Path(path), env)
    finally:
        env.close()


def _compare_hands(path: Path, env: ManipulationEnv) -> Iterator[str]:
    """All by the first demonstration's model, which is in place: they differ in objects, not in the robot."""
    pos, quat = (key for key in env.task.low_dim if key.name in ("robot0_eef_pos", "robot0_eef_quat"))
    with open_hdf5(path, "it was there a moment ago") as file:
        data = data_group(file)
        for name in demonstration_names(data):
            group = get_member(data, name, h5py.Group, "a demonstration is a group")
            length = check_layout(group, [pos, quat], env.task.action_dim)
            states = get_member(group, "states", h5py.Dataset, "the simulator's states are wanted")
            if states.shape != (length, len(env.get_state())):
                yield f"{name}: its states have shape {states.shape} and do not fit the first one's model"
                continue
            steps = sorted({0, length // 2, length - 1})
            obs = {key.name: np.asarray(group["obs"][key.name][:], np.float64) for key in (pos, quat)}
            looks = [env.set_state(state, (pos, quat)) for state in states[steps]]
            true = {key.name: np.stack([look[key.name] for look in looks]) for key in (pos, quat)}
            for said in _hand_difference(obs, true, steps, SCENES not in group.attrs):
                yield f"{place(group)}/obs/{said}"


def _hand_difference(
    obs: dict[str, np.ndarray], true: dict[str, np.ndarray], steps: list[int], moving: bool
) -> Iterator[str]:
    """What is wrong with one demonstration's hand (N, ...), held against that of some steps (S, ...)."""
    far = float(np.linalg.norm(obs["robot0_eef_pos"][steps] - true["robot0_eef_pos"], axis=-1).max())
    if far > _HAND_FAR:
        yield f"robot0_eef_pos is {100 * far:.1f} cm off what the states say"
    quat, wanted = obs["robot0_eef_quat"], true["robot0_eef_quat"]
    read = to_task("", obs, moving)[0].get("robot0_eef_quat", quat)  # as reading mends it
    turned = _turned(read[steps], wanted)
    if turned <= _HAND_TURNED:
        return
    ways = {"is right as it stands, and is read as if w came first": quat}
    ways |= {say: way(quat) for say, way in _TURNS.items()}
    fits = [say for say, values in ways.items() if _turned(values[steps], wanted) <= _HAND_TURNED]
    yield f"robot0_eef_quat {[*fits, f'is {turned:.0f} degrees off'][0]}, against what the states say"


def _turned(first: np.ndarray, second: np.ndarray) -> float:
    """The largest angle between rotations, quaternions (S, 4) of any sign; degrees."""
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    alike = np.abs((first * second).sum(-1)) / np.maximum(lengths, 1e-12)
    return float(np.degrees(2 * np.arccos(np.clip(alike, 0, 1))).max())


def _compare_pictures(path: Path, env: ManipulationEnv) -> Iterator[str]:
    """Leaves the first demonstration's model in place."""
    task = env.task
    cameras = [key for key in task.image if key.type == "rgb"]
    with open_hdf5(path, "name a robomimic HDF5 file with images") as file:
        data = data_group(file)
        group = get_member(data, demonstration_names(data)[0], h5py.Group, "a demonstration is a group")
        length = check_layout(group, cameras, task.action_dim)
        states = get_member(group, "states", h5py.Dataset, "rendering needs the simulator's states")
        if states.shape is None or len(states.shape) != 2 or len(states) != length:
            raise DatasetError(
                f"{path}: {place(group)}/states has shape {states.shape}; {length} rows are wanted"
            )
        steps = sorted({0, length // 2, length - 1})
        wanted, model = states[steps], group.attrs.get("model_file")
        model = model.decode() if isinstance(model, bytes) else model
        if not isinstance(model, str):
            raise DatasetError(f"{path}: {place(group)} has no model_file; rendering needs the model")
        stored = {key.name: group["obs"][key.name][steps].astype(int) for key in cameras}  # (steps, H, W, 3)
        where = place(group)
    env.reset_to(wanted[0], model)
    looks = [env.set_state(state) for state in wanted]
    rendered = {
        key.name: np.stack([np.moveaxis(look[key.name], 0, -1) for look in looks]).astype(int)
        for key in cameras
    }
    for name, pictures in stored.items():
        said = _difference(name, pictures, rendered)
        if said is not None:
            yield f"{where}/obs/{name}: the pictures {said}"


def _difference(name: str, pictures: np.ndarray, rendered: dict[str, np.ndarray]) -> str | None:
    """What is wrong with one camera's pictures (steps, H, W, 3); None if they are as rendered."""
    if pictures.max() - pictures.min() < 8:
        return f"show nothing: all values lie between {pictures.min()} and {pictures.max()}"
    plain = _apart(pictures, rendered[name])
    others = {say: _apart(way(pictures), rendered[name]) for say, way in _WAYS.items()}
    others |= {
        f"are those of {other}": _apart(pictures, there) for other, there in rendered.items() if other != name
    }
    likely = min(others, key=others.__getitem__)
    if others[likely] < plain / 2 and others[likely] < _FAR:
        return f"{likely}, against what the states look like"
    if plain > _FAR:
        return f"are not what the states look like: {plain:.0f} of 255 apart in the mean"
    return None


def _apart(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).mean())
