"""Checkpoints that are safe to open: safetensors and JSON in a folder, renamed into place when complete.

    step_00006000/
      policy.json                 configuration, step, versions, and each file's SHA-256
      policy.safetensors          weights as trained
      ema.safetensors             their moving average: what a policy acts with
      training.json, training.safetensors    optimiser, schedule, random states: what resuming needs

Opening one never executes code: neither format can hold any (unlike pickle, which `torch.save` writes).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ddpm_edu.config import Config, PolicyConfig
from ddpm_edu.errors import CheckpointError, UserError, first_line
from ddpm_edu.factory import build_policy
from ddpm_edu.files import remove_folder, sha256, write_folder
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.settings import from_dict, to_dict
from ddpm_edu.text import shell_line
from ddpm_edu.training.files import (
    JSON_ERRORS,
    join_tensors,
    read_json,
    read_tensors,
    split_tensors,
    write_json,
    write_tensors,
)

FORMAT = "ddpm_edu checkpoint 1"
BEST = "best"
"""Name of the checkpoint that did best, beside those of the last steps."""
_STEP = re.compile(r"step_(\d+)")


@dataclass
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        step: optimiser steps taken.
        config: the run's configuration.
        weights: the policy's state as trained.
        ema: the policy's state with averaged weights.
        training: nested containers of plain values and tensors that resuming needs; None in a shipped policy.
        about: versions, machine, command.
    """

    step: int
    config: Config
    weights: dict[str, torch.Tensor] | None
    ema: dict[str, torch.Tensor]
    training: Any
    about: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int | None = None) -> Path:
    """Write a checkpoint into `folder/step_XXXXXXXX`, whole or not at all.

    Args:
        folder: the run's folder of checkpoints.
        checkpoint: what to write.
        keep: delete all but the newest so many afterwards.
    """
    target = folder / f"step_{checkpoint.step:08d}"
    if target not in list_checkpoints(folder):
        refuse_impostors(folder)
        write_policy(target, checkpoint)
    if keep is not None:
        for old in list_checkpoints(folder)[:-keep]:
            remove_folder(old)
    return target


def write_policy(target: Path, checkpoint: Checkpoint) -> None:
    """Write one checkpoint as the folder `target`, whole or not at all."""
    content = {
        "format": FORMAT,
        "step": checkpoint.step,
        "config": to_dict(checkpoint.config),
        "about": checkpoint.about,
    }
    with write_folder(target) as folder:
        digests = {"ema.safetensors": write_tensors(folder / "ema.safetensors", checkpoint.ema)}
        if checkpoint.weights is not None:
            digests["policy.safetensors"] = write_tensors(folder / "policy.safetensors", checkpoint.weights)
        if checkpoint.training is not None:
            plain, tensors = split_tensors(checkpoint.training)
            digests["training.json"] = write_json(folder / "training.json", plain)
            digests["training.safetensors"] = write_tensors(folder / "training.safetensors", tensors)
        digests["policy.json"] = _digest(content)
        write_json(folder / "policy.json", {**content, "sha256": digests})


def _digest(content: dict[str, Any]) -> str:
    """The SHA-256 of what policy.json says besides the digests, however it is laid out."""
    said = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def list_checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in a folder, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in _steps(folder) if (path / "policy.json").is_file()]
    return sorted(found, key=lambda path: int(_STEP.fullmatch(path.name)[1]))


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint in a folder, 0 if there is none."""
    found = list_checkpoints(folder)
    return int(_STEP.fullmatch(found[-1].name)[1]) if found else 0


def refuse_impostors(folder: Path) -> None:
    """Refuses a folder of checkpoints where something else has a checkpoint's name.

    Raises:
        CheckpointError: naming it.
    """
    whole = list_checkpoints(folder)
    for path in _steps(folder) if folder.is_dir() else ():
        if path not in whole:
            raise CheckpointError(f"{path} has a checkpoint's name, and is none; move it away")


def _steps(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _STEP.fullmatch(path.name)]


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint that a path means: itself, or the newest one of a run.

    Raises:
        CheckpointError: if there is none.
    """
    path = Path(path)
    if path.is_file():
        raise CheckpointError(
            f"{path} is a file; a ddpm_edu checkpoint is a folder with policy.json and ema.safetensors; "
            "a reference implementation's checkpoint is converted with: ddpm-edu import FILE"
        )
    if not path.is_dir():
        if path.exists():
            raise CheckpointError(
                f"{path} is neither a file nor a folder; give a run's folder or a checkpoint"
            )
        raise CheckpointError(f"{path} does not exist; give a run's folder or one of its checkpoints/step_*")
    if (path / "policy.json").is_file():
        return path
    found = list_checkpoints(path / "checkpoints") or list_checkpoints(path)
    if not found:
        train = shell_line(["ddpm-edu", "train", "--run-dir", path])
        raise CheckpointError(f"{path} holds no checkpoint; train one with: {train}")
    return found[-1]


def origin(path: str | Path) -> dict[str, str]:
    """Which weights a run or checkpoint acts with: where they are, and their SHA-256.

    Raises:
        CheckpointError: if there is no such checkpoint.
    """
    path = find_checkpoint(path)
    return {"path": str(path), "sha256": sha256(path / "ema.safetensors")}


def read_checkpoint(path: str | Path, training: bool = True) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a checkpoint's folder, or a run's, of which the newest is taken.
        training: read also what resuming needs.

    Raises:
        CheckpointError: if it is missing, broken, or of another format.
    """
    return _read(find_checkpoint(path), ("ema", "policy") if training else ("ema",), training)


def _read(path: Path, weights: tuple[str, ...], training: bool) -> Checkpoint:
    """The parts of a checkpoint that are asked for, each as it was written."""
    about = read_json(path / "policy.json")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(
            f"{path / 'policy.json'} is not of format {FORMAT!r}; use a checkpoint of ddpm_edu"
        )
    try:
        config = from_dict(Config, about["config"])
        step, made_by = _whole_number(about["step"]), dict(about["about"])
        digests = {str(name): str(digest) for name, digest in about.get("sha256", {}).items()}
    except (AttributeError, KeyError, TypeError, *JSON_ERRORS) as error:
        raise CheckpointError(
            f"{path / 'policy.json'} holds a configuration that does not fit: {error}"
        ) from None
    if digests and digests.get("policy.json") != _digest(about):
        raise CheckpointError(
            f"{path / 'policy.json'} is not what was written: its SHA-256 differs; "
            "copy it again, or use another checkpoint"
        )

    def tensors(name: str) -> dict[str, torch.Tensor]:
        return read_tensors(path / f"{name}.safetensors", digests.get(f"{name}.safetensors"))

    state = None
    if training:
        plain = read_json(path / "training.json", digests.get("training.json"))
        try:
            state = join_tensors(plain, tensors("training"))
        except (KeyError, TypeError, *JSON_ERRORS) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"{path / 'training.json'} and training.safetensors do not belong together ({error!r}); "
                f"remove {path}: the run goes on from the checkpoint before it"
            ) from None
    parts = {name: tensors(name) for name in weights}
    return Checkpoint(step, config, parts.get("policy"), parts.get("ema", {}), state, made_by)


def _whole_number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"step is {value!r}; it must be a whole number of at least 0")
    return value


def load_policy(
    path: str | Path,
    weights: Literal["ema", "trained"] = "ema",
    device: str | torch.device = "cpu",
) -> DiffusionPolicy:
    """The policy of a checkpoint, ready to act.

    Args:
        path: a checkpoint's folder, or a run's, of which the newest is taken.
        weights: the moving average, or the weights as trained.
        device: where to put it.

    Raises:
        CheckpointError: if the checkpoint is missing or broken, or its weights do not fit its configuration.
    """
    path = find_checkpoint(path)
    checkpoint = _read(path, ("ema" if weights == "ema" else "policy",), training=False)
    state = checkpoint.ema if weights == "ema" else checkpoint.weights
    policy = _build(checkpoint.config.policy, state, path)
    load_state(policy, state, path)
    return policy.eval().to(device)


def _build(config: PolicyConfig, state: dict[str, torch.Tensor], where: Path) -> DiffusionPolicy:
    """A policy with a place for `state`, and no other: a broken configuration can ask for any memory."""
    try:
        # First the shapes, without memory; robomimic's encoder cannot do without.
        with contextlib.suppress(NotImplementedError), torch.device("meta"):
            _refuse_misfit(build_policy(config), state, where)
        return build_policy(config)
    except UserError:
        raise
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{where / 'policy.json'} holds a configuration that gives no policy: {first_line(error)}"
        ) from None


def load_state(policy: DiffusionPolicy, state: dict[str, torch.Tensor], where: Path) -> None:
    """Load a policy's state, strictly.

    Raises:
        CheckpointError: naming the first entry that is missing, unknown, of another shape, or not finite.
    """
    _refuse_misfit(policy, state, where)
    if name := first_not_finite(state):
        raise CheckpointError(
            f"{where}: entry {name!r} holds a value that is not finite; use an earlier checkpoint"
        )
    policy.load_state_dict(state)


def first_not_finite(state: dict[str, torch.Tensor]) -> str | None:
    """The name of the first tensor that holds a NaN or an infinity; a device is waited for once."""
    names = [name for name, value in state.items() if value.is_floating_point()]
    if not names:
        return None
    finite = torch.stack([state[name].isfinite().all().to(state[names[0]].device) for name in names])
    return None if finite.all() else names[int(finite.logical_not().nonzero()[0])]


def _refuse_misfit(policy: DiffusionPolicy, state: dict[str, torch.Tensor], where: Path) -> None:
    own = policy.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in state:
            raise CheckpointError(f"{where} has no entry {name!r}, which its configuration asks for")
        if name not in own:
            raise CheckpointError(f"{where} has an entry {name!r} that its configuration has no place for")
        if own[name].shape != state[name].shape:
            raise CheckpointError(
                f"{where}: entry {name!r} has shape {tuple(state[name].shape)}; "
                f"its configuration wants {tuple(own[name].shape)}"
            )
