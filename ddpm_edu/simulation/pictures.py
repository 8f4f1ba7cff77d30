"""Are the pictures of a file what its states look like? Some are rendered anew and held against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from ddpm_edu.data.hdf5 import get_member, open_hdf5, place
from ddpm_edu.data.validation import check_layout, data_group, demonstration_names
from ddpm_edu.errors import DatasetError
from ddpm_edu.simulation.env import make_env
from ddpm_edu.tasks import Task

_FAR = 12.0
"""Mean difference, of 255: two renderers of one scene are 1 to 3 apart."""

# What may have been done to pictures (steps, height, width, 3), and how to say it.
_WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "stand upside down": lambda pictures: pictures[:, ::-1],
    "are mirrored": lambda pictures: pictures[:, :, ::-1],
    "are turned by half a turn": lambda pictures: pictures[:, ::-1, ::-1],
    "have red and blue exchanged": lambda pictures: pictures[..., ::-1],
    "run backwards in time": lambda pictures: pictures[::-1],
}


def compare_pictures(path: str | Path, task: Task) -> Iterator[str]:
    """Renders three states of the first demonstration and says, in a line each, which pictures differ.

    Args:
        path: a file with images, states and models.
        task: the file's.

    Raises:
        DatasetError: if the demonstration is broken.
        SimulatorError: if nothing can be rendered here, or the model cannot be loaded.
    """
    cameras = [key for key in task.image if key.type == "rgb"]
    with open_hdf5(Path(path), "name a robomimic HDF5 file with images") as file:
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
    env = make_env(task, "image")
    try:
        env.reset_to(wanted[0], model)
        looks = [env.set_state(state) for state in wanted]
    finally:
        env.close()
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
