"""Checkpoints that are safe to open: safetensors and JSON in a folder, renamed into place when complete.

    step_00006000/
      policy.json                 configuration, step, versions
      policy.safetensors          weights as trained
      ema.safetensors             their moving average: what a policy acts with
      training.json, training.safetensors    optimiser, schedule, random states: what resuming needs

Opening one never executes code: neither format can hold any (unlike pickle, which `torch.save` writes).
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ddpm_edu.config import Config
from ddpm_edu.errors import CheckpointError
from ddpm_edu.factory import build_policy
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.settings import from_dict, to_dict
from ddpm_edu.training.files import (
    join_tensors,
    read_json,
    read_tensors,
    split_tensors,
    sync,
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
    if not target.exists():
        write_policy(target, checkpoint)
    if keep is not None:
        for old in list_checkpoints(folder)[:-keep]:
            # Renamed first: a stop in the middle of deleting must not leave a checkpoint that looks whole.
            doomed = old.rename(old.with_name(old.name + ".deleted"))
            shutil.rmtree(doomed)
    return target


def write_policy(target: Path, checkpoint: Checkpoint) -> None:
    """Write one checkpoint as the folder `target`, whole or not at all."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    about = {
        "format": FORMAT,
        "step": checkpoint.step,
        "config": to_dict(checkpoint.config),
        "about": checkpoint.about,
    }
    write_json(partial / "policy.json", about)
    write_tensors(partial / "ema.safetensors", checkpoint.ema)
    if checkpoint.weights is not None:
        write_tensors(partial / "policy.safetensors", checkpoint.weights)
    if checkpoint.training is not None:
        plain, tensors = split_tensors(checkpoint.training)
        write_json(partial / "training.json", plain)
        write_tensors(partial / "training.safetensors", tensors)
    sync(partial)
    doomed = target.with_name(target.name + ".deleted")
    shutil.rmtree(doomed, ignore_errors=True)
    if target.exists():
        target.rename(doomed)
    partial.rename(target)
    sync(target.parent)
    shutil.rmtree(doomed, ignore_errors=True)


def list_checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in a folder, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and _STEP.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(_STEP.fullmatch(path.name)[1]))


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
        raise CheckpointError(f"{path} does not exist; give a run's folder or one of its checkpoints/step_*")
    if (path / "policy.json").is_file():
        return path
    found = list_checkpoints(path / "checkpoints") or list_checkpoints(path)
    if not found:
        raise CheckpointError(f"{path} holds no checkpoint; train one with: ddpm-edu train --run-dir {path}")
    return found[-1]


def read_checkpoint(path: str | Path, training: bool = True) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a checkpoint's folder, or a run's, of which the newest is taken.
        training: read also what resuming needs.

    Raises:
        CheckpointError: if it is missing, broken, or of another format.
    """
    path = find_checkpoint(path)
    about = read_json(path / "policy.json")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(
            f"{path / 'policy.json'} is not of format {FORMAT!r}; use a checkpoint of ddpm_edu"
        )
    try:
        config = from_dict(Config, about["config"])
        step, made_by = int(about["step"]), dict(about["about"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path / 'policy.json'} holds a configuration that does not fit: {error}"
        ) from None
    weights = state = None
    if training:
        weights = read_tensors(path / "policy.safetensors")
        plain, tensors = read_json(path / "training.json"), read_tensors(path / "training.safetensors")
        try:
            state = join_tensors(plain, tensors)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path / 'training.json'} and training.safetensors do not belong together ({error!r}); "
                f"remove {path}: the run goes on from the checkpoint before it"
            ) from None
    return Checkpoint(step, config, weights, read_tensors(path / "ema.safetensors"), state, made_by)


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
    checkpoint = read_checkpoint(path, training=False)
    state = checkpoint.ema if weights == "ema" else read_tensors(path / "policy.safetensors")
    policy = build_policy(checkpoint.config.policy)
    load_state(policy, state, path)
    return policy.eval().to(device)


def load_state(policy: DiffusionPolicy, state: dict[str, torch.Tensor], where: Path) -> None:
    """Load a policy's state, strictly.

    Raises:
        CheckpointError: naming the first entry that is missing, unknown, or of another shape.
    """
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
    policy.load_state_dict(state)
