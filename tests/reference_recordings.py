"""Checkpoints of the reference in their exact layout, made from recordings (reference/recorded/README.md)."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ddpm_edu.tasks import get_task

RECORDED = Path(__file__).parent / "reference" / "recorded"
NAMES = sorted(path.stem for path in RECORDED.glob("*.zip"))


def spread(n: int, seed: int) -> np.ndarray:
    """n numbers of mean 0 and variance 1, the same everywhere: splitmix64 (Steele et al. 2014)."""
    z = np.arange(n, dtype=np.uint64) + np.uint64(seed * 2**32 + 1)
    with np.errstate(over="ignore"):
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53 * 12**0.5 - 3**0.5


def as_float(values: np.ndarray, *shape: int) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def storage_bytes(recipe: list) -> bytes:
    kind, n, *rest = recipe
    if kind == "spread":
        seed, mean, deviation, shift = rest
        return ((spread(n, seed) * deviation + mean).astype(np.float32) + np.float32(shift)).tobytes()
    if kind == "list":
        values, dtype = rest
        return np.array([float(value) for value in values]).astype(dtype.removeprefix("torch.")).tobytes()
    return np.full(n, rest[0] if rest else 0, np.float32).tobytes()


@dataclass
class Recording:
    """A checkpoint file, and what the reference made of it."""

    name: str
    path: Path
    expected: dict[str, np.ndarray]


def make_checkpoint(name: str, folder: Path) -> Recording:
    with zipfile.ZipFile(RECORDED / f"{name}.zip") as recorded:
        pickled = recorded.read("data.pkl")
        recipes = json.loads(recorded.read("storages.json"))
        expected = dict(np.load(io.BytesIO(recorded.read("expected.npz"))))
    path = folder / f"{name}.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for key, recipe in recipes.items():
            archive.writestr(f"archive/data/{key}", storage_bytes(recipe))
        archive.writestr("archive/version", "3\n")
    return Recording(name, path, expected)


def make_observation(config, order, B: int = 2) -> dict[str, torch.Tensor]:
    """The observation that was shown to the reference, in our form {key: (B, To, ...)}.

    Args:
        config: our configuration of the policy.
        order: the order of the keys in the reference's vector; only states have one.
        B: samples.
    """
    To = config.n_obs_steps
    keys = {key.name: key for key in get_task(config.task).observation(config.observation)}
    if config.observation == "low_dim":
        whole = as_float(spread(B * To * 23, 77), B, To, 23) * 0.4
        return dict(zip(order, whole.split([keys[name].shape[0] for name in order], dim=-1), strict=True))
    obs = {}
    for index, (name, key) in enumerate(sorted(keys.items())):
        values = spread(B * To * int(np.prod(key.shape)), 90 + index)
        if key.type == "rgb":
            pixels = np.floor((values / 12**0.5 + 0.5) * 256).astype(np.uint8)
            obs[name] = torch.from_numpy(pixels).reshape(B, To, *key.shape)
        else:
            obs[name] = as_float(values * 0.4, B, To, *key.shape)
    return obs
