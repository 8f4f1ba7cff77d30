"""Adds the two cameras' pictures to demonstrations recorded without, by replaying their simulator states.

robomimic publishes states and models but no images. Each state is put into the simulator, without physics,
and looked at through the same renderer as collecting and evaluation use. The task's low-dim observations are
read off in passing, so that files of states alone become whole as well.

Every rendered demonstration is kept on disk at once, beside the file to be made: a render that is stopped at
any moment goes on when the same call is made again.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm.auto import tqdm

from ddpm_edu.data.hdf5 import READ_ERRORS, get_member, open_hdf5, place, read_into
from ddpm_edu.data.made_from import made_from
from ddpm_edu.data.object_layout import SCENES
from ddpm_edu.data.validation import (
    check_declared,
    data_group,
    demonstration_names,
    env_args,
    filter_keys,
    masked_names,
)
from ddpm_edu.data.writer import Demonstration, DemonstrationWriter
from ddpm_edu.errors import ConfigError, DatasetError, SimulatorError, first_line
from ddpm_edu.files import only_writer, sha256
from ddpm_edu.simulation.collect import naming_full_disk
from ddpm_edu.simulation.env import ManipulationEnv, make_env
from ddpm_edu.simulation.kept import load_demonstration, prepare_folder, save_demonstration
from ddpm_edu.simulation.workers import Workers
from ddpm_edu.tasks import TASKS, Task, task_of_environment

RENDERING = "rendering"
"""Attribute of a rendered file: what it was rendered from; see `ddpm_edu.data.made_from`."""
# Changes when the same file would give other pictures, so that none of an earlier version is mixed in.
_RECIPE = 1
_TOLERANCE = 0.01
"""Metres between the file's hand and the replayed one: robosuite's sensors lag by a physics step."""
_STATES = (
    "rendering replays the simulator's states: use a file that has them, such as robomimic's demo_v15.hdf5"
)


@dataclass(frozen=True)
class Rendering:
    """What a rendering came to.

    Attributes:
        path: the file.
        demonstrations: how many it holds.
        steps: of all of them; each has two pictures.
        kept: how many an earlier, stopped run had rendered.
    """

    path: Path
    demonstrations: int
    steps: int
    kept: int

    def __str__(self) -> str:
        earlier = f"; {self.kept} of them rendered earlier" if self.kept else ""
        return f"{self.path}: {self.demonstrations} demonstrations, {self.steps} steps, two cameras{earlier}"


def render(
    source: str | Path,
    out: str | Path,
    n: int | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> Rendering:
    """Renders the recorded states of a file into a file with images.

    Actions, states, names and masks are the source's; observations are the task's, computed from the states.

    Args:
        source: a robomimic HDF5 file with `states` and `model_file`: ours, or a published one of v1.5.
        out: the file to make.
        n: only the first so many demonstrations.
        workers: processes; a script that calls this needs the usual `if __name__ == "__main__":`.
        overwrite: replace a file that was made otherwise.
        progress: show a progress bar on stderr.

    Raises:
        ConfigError: if a number is out of range, or `out` holds something else and `overwrite` is False.
        DatasetError: if the source is broken, of neither task, or has no states.
        SimulatorError: if there is no renderer, the disk is full, or the states do not fit the simulator.
    """
    source, out = Path(source), Path(out)
    if n is not None and n < 1:
        raise ConfigError(f"n is {n}; at least 1 demonstration is wanted")
    if workers < 1:
        raise ConfigError(f"workers is {workers}; at least 1 is wanted")
    task, names, masks = _outline(source)
    names = names[:n]
    settings = {"recipe": _RECIPE, "source": source.name, "sha256": sha256(source), "demonstrations": names}
    if scenes := made_from(source, SCENES):  # of those who look for them in the result
        settings[SCENES] = scenes
    with only_writer(out):
        return _render(source, out, task, names, masks, settings, workers, overwrite, progress)


def _render(
    source: Path,
    out: Path,
    task: Task,
    names: list[str],
    masks: dict[str, list[str]],
    settings: dict[str, Any],
    workers: int,
    overwrite: bool,
    progress: bool,
) -> Rendering:
    found = made_from(out, RENDERING)
    if found == settings:
        return Rendering(out, len(names), _steps(out, names), kept=len(names))
    if os.path.lexists(out) and (found is None or not overwrite or out.samefile(source)):
        raise ConfigError(f"{out} exists and is not made from {source}; give another name for the result")
    folder = out.with_name(out.name + ".rendered")
    # fewer or more demonstrations of the same source may share what is finished
    prepare_folder(folder, {key: settings[key] for key in ("recipe", "sha256")})
    done = {name for name in names if (folder / f"{name}.zip").exists()}
    try:
        with naming_full_disk(out, "rendering"):
            missing = [name for name in names if name not in done]
            bar = tqdm(total=len(names), initial=len(done), unit="demo", disable=not progress)
            bar.set_description(f"{task.title}, rendering")
            with bar, Workers(min(workers, len(missing)), _Renders, (source, task, folder)) as pool:
                for _ in pool.work(missing):
                    bar.update()
            _assemble(out, task, settings, folder, names, masks)
    finally:
        if made_from(out, RENDERING) == settings:
            shutil.rmtree(folder, ignore_errors=True)
    return Rendering(out, len(names), _steps(out, names), kept=len(done))


# ---------------------------------------------------------------------- the source


def _outline(source: Path) -> tuple[Task, list[str], dict[str, list[str]]]:
    """The file's task, the names of its demonstrations, and its masks."""
    with open_hdf5(
        source, "name a robomimic HDF5 file, or fetch one with: ddpm-edu data download can"
    ) as file:
        data = data_group(file)
        name = env_args(data)["env_name"]
        task = task_of_environment(name)
        if task is None:
            known = " and ".join(task.environment_name for task in TASKS.values())
            raise DatasetError(f"{source} holds demonstrations of {name}; only {known} can be rendered")
        names = demonstration_names(data)
        masks = {key: masked_names(file, key, names) for key in filter_keys(file)}
    return task, names, masks


def _read(
    source: Path, name: str, task: Task
) -> tuple[dict[str, np.ndarray], str, dict[str, Any], np.ndarray | None]:
    """A demonstration's arrays, model, attributes, and where its hand was (N, 3) if the file says."""
    with open_hdf5(source, "it was there a moment ago") as file:
        group = get_member(data_group(file), name, h5py.Group, "a demonstration is a group")
        where = f"{source}: {place(group)}"
        arrays = {}
        for key in ("states", "actions", "rewards"):
            dataset = get_member(group, key, h5py.Dataset, _STATES)
            wanted = 1 if key == "rewards" else 2
            if dataset.dtype.kind not in "fiu" or dataset.shape is None or len(dataset.shape) != wanted:
                raise DatasetError(
                    f"{where}/{key} has shape {dataset.shape} and dtype {dataset.dtype}; {_STATES}"
                )
            check_declared(dataset)
            arrays[key] = np.empty(dataset.shape, np.float64)
            read_into(dataset, arrays[key])
            if not np.isfinite(arrays[key]).all():
                raise DatasetError(
                    f"{where}/{key} holds values that are not finite; remove the demonstration"
                )
        if len({len(values) for values in arrays.values()}) != 1 or not len(arrays["states"]):
            lengths = ", ".join(f"{key} {len(values)}" for key, values in arrays.items())
            raise DatasetError(
                f"{where} has steps: {lengths}; they must be equal and not 0: collect it again"
            )
        try:
            model = group.attrs["model_file"]
            model = model.decode() if isinstance(model, bytes) else str(model)
            attributes = {
                key: value.item() if isinstance(value, np.generic) else value
                for key, value in group.attrs.items()
                if key not in ("model_file", "num_samples")
                and isinstance(value, (str, int, float, np.generic))
            }
        except (*READ_ERRORS, TypeError) as error:
            raise DatasetError(
                f"{where}.model_file cannot be read ({first_line(error)}); {_STATES}"
            ) from None
        hand = None
        obs = group.get("obs", getclass=True)
        if obs is h5py.Group:
            obs = get_member(group, "obs", h5py.Group, _STATES)
            key = "robot0_eef_pos"
            recorded = get_member(obs, key, h5py.Dataset, _STATES) if key in obs else None
            if recorded is not None and recorded.shape == (len(arrays["states"]), 3):
                hand = np.empty(recorded.shape, np.float64)
                read_into(recorded, hand)
    return arrays, model, attributes, hand


# ---------------------------------------------------------------------- rendering


def render_demonstration(env: ManipulationEnv, source: Path, name: str) -> Demonstration:
    """One demonstration of a file, with the observations of `env`, which must be one that returns images.

    Raises:
        DatasetError: if the demonstration is broken.
        SimulatorError: if its model or states do not fit the simulator, or the hand is not where it was.
    """
    arrays, model, attributes, hand = _read(source, name, env.task)
    try:
        env.reset_to(arrays["states"][0], model)
        rows: dict[str, list[np.ndarray]] = {}
        for state in arrays["states"]:
            images = env.set_state(state)
            for key, value in {**env.low_dim_observation(), **images}.items():
                rows.setdefault(key, []).append(np.moveaxis(value, 0, -1) if value.ndim == 3 else value)
    except SimulatorError as error:
        raise SimulatorError(f"{source}: {name}: {error}") from None
    obs = {key: np.stack(values) for key, values in rows.items()}  # (N, ...)
    if hand is not None:
        far = np.linalg.norm(obs["robot0_eef_pos"] - hand, axis=-1)  # (N,) metres
        if not far.max() <= _TOLERANCE:
            raise SimulatorError(
                f"{source}: {name}: replayed, the hand is {100 * far.max():.1f} cm off what the file says at "
                f"step {int(far.argmax())}; its states are of another model: use a file for robosuite 1.5"
            )
    return Demonstration(obs, arrays["actions"], arrays["states"], arrays["rewards"], model, attributes)


class _Renders:
    """Renders demonstrations, in a process of `Workers`."""

    def __init__(self, source: Path, task: Task, folder: Path) -> None:
        self.env, self.source, self.folder = make_env(task, "image"), source, folder

    def __call__(self, name: str) -> None:
        save_demonstration(self.folder / f"{name}.zip", render_demonstration(self.env, self.source, name))


# ---------------------------------------------------------------------- the result


def _assemble(
    out: Path,
    task: Task,
    settings: dict[str, Any],
    folder: Path,
    names: list[str],
    masks: dict[str, list[str]],
) -> None:
    env = make_env(task)
    try:
        description = env.env_args("image")
    finally:
        env.close()
    present = set(names)
    chosen = {key: [name for name in members if name in present] for key, members in masks.items()}
    with DemonstrationWriter(
        out,
        description,
        attributes={RENDERING: json.dumps(settings)},
        masks={key: members for key, members in chosen.items() if members},
    ) as writer:
        for name in names:
            writer.add(load_demonstration(folder / f"{name}.zip"), name)


def _steps(out: Path, names: list[str]) -> int:
    with h5py.File(out, "r") as file:
        if set(file["data"]) != set(names):
            raise DatasetError(f"{out} has lost some of its demonstrations; remove it and render again")
        return int(file["data"].attrs["total"])
