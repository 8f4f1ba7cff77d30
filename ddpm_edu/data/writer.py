"""Writes demonstrations as robomimic's HDF5."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from ddpm_edu.files import partial_name

# A chunk holds some rows of all pictures of a demonstration. gzip looks back 32 kB, that is ten pictures of
# 12 x 84: it meets each row as it was before, and a still background costs next to nothing (measured, Can:
# agentview 10 times smaller than picture by picture). Reading one picture alone unpacks them all.
_ROWS_PER_CHUNK = 12


@dataclass(frozen=True)
class Demonstration:
    """One demonstration of N steps; row t of each array belongs to the same moment.

    Attributes:
        obs: observation before the action; images (N, height, width, 3) uint8, the rest (N, ...) float32.
        actions: (N, Da) float64, exactly as executed.
        states: (N, S) float64, the simulator's state before the action.
        rewards: (N,) after the action.
        model_xml: the simulator's model.
        attributes: further numbers and texts about this demonstration, stored as attributes.
    """

    obs: Mapping[str, np.ndarray]
    actions: np.ndarray
    states: np.ndarray
    rewards: np.ndarray
    model_xml: str
    attributes: Mapping[str, Any]


class DemonstrationWriter:
    """Writes a file of demonstrations that appears under its name only when it is complete.

    Layout (robomimic 0.3): `data/demo_i/{actions, states, rewards, dones, obs/<key>}` with attributes
    `num_samples` and `model_file`; `data` with attributes `total` and `env_args`; `mask/train` and
    `mask/valid`. There are no `next_obs`: the next observation is the next row of `obs`.

    Args:
        path: where the file shall stand. Until it is complete it is written beside it (`partial_name`).
        env_args: robomimic's description of the environment; see `ManipulationEnv.env_args`.
        valid_fraction: share of the demonstrations that `mask/valid` names; at least one of each mask,
            but of a single demonstration none.
        seed: which demonstrations `mask/valid` names.
        attributes: further attributes of `data`, such as the command that made the file.
        masks: {filter key: names of demonstrations} to write instead of drawing train and valid.

    Use it as a context manager: an error inside removes what was written.
    """

    def __init__(
        self,
        path: str | Path,
        env_args: Mapping[str, Any],
        valid_fraction: float = 0.1,
        seed: int = 0,
        attributes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.path = Path(path)
        self._partial = partial_name(self.path)
        self._valid_fraction = valid_fraction
        self._seed = seed
        self._masks = masks
        self._number = self._total = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._partial, "w", libver=("v110", "v110"))
        self._data = self._file.create_group("data")
        self._data.attrs["env_args"] = json.dumps(env_args, indent=4)
        self._data.attrs.update(attributes or {})

    def __enter__(self) -> DemonstrationWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            with contextlib.suppress(Exception):  # a full disk fails here once more
                self._file.close()
            self._partial.unlink(missing_ok=True)  # gone already, if all went well

    def add(self, demonstration: Demonstration, name: str | None = None) -> None:
        """Writes the next demonstration, as `demo_0`, `demo_1`, …, unless it is given a name."""
        group = self._data.create_group(name or f"demo_{self._number}")
        length = len(demonstration.actions)
        group.attrs["num_samples"] = length
        group.attrs["model_file"] = demonstration.model_xml
        group.attrs.update(demonstration.attributes)
        dones = np.zeros(length, dtype=np.int64)
        dones[-1] = 1
        _write(group, "actions", demonstration.actions)
        _write(group, "states", demonstration.states)
        _write(group, "rewards", demonstration.rewards)
        _write(group, "dones", dones)
        observations = group.create_group("obs")
        for key, value in demonstration.obs.items():
            _write(observations, key, value)
        self._number += 1
        self._total += length

    def close(self) -> None:
        """Completes the file, brings it to the disk, and puts it in its place."""
        self._data.attrs["total"] = self._total
        mask = self._file.create_group("mask")
        for name, members in (self._drawn_masks() if self._masks is None else self._masks).items():
            if members:  # an empty mask is refused by all who read it: of one demonstration none is held out
                mask[name] = np.array(members, dtype="S")
        self._file.flush()
        self._file.close()
        with self._partial.open("rb") as file:
            os.fsync(file.fileno())
        self._partial.replace(self.path)

    def _drawn_masks(self) -> dict[str, list[str]]:
        valid = valid_demonstrations(self._number, self._valid_fraction, self._seed)
        return {
            name: [f"demo_{i}" for i in range(self._number) if (i in valid) == wanted]
            for name, wanted in (("train", False), ("valid", True))
        }


def valid_demonstrations(number: int, fraction: float, seed: int) -> set[int]:
    """The demonstrations kept for validation: a random choice that depends on the seed alone."""
    count = min(max(1, round(fraction * number)), number - 1)
    return set(np.random.default_rng(seed).permutation(number)[:count].tolist()) if number > 1 else set()


def _write(group: h5py.Group, name: str, value: np.ndarray) -> None:
    chunks = value.shape
    if value.dtype == np.uint8 and value.ndim == 4:
        chunks = (len(value), min(_ROWS_PER_CHUNK, value.shape[1]), *value.shape[2:])
    # shuffle puts the exponents of neighbouring numbers side by side, where gzip finds them alike
    shuffle = value.dtype.itemsize > 1
    group.create_dataset(
        name, data=value, chunks=chunks, compression="gzip", compression_opts=9, shuffle=shuffle
    )
