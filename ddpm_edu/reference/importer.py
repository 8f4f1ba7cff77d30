"""From a checkpoint file of the reference to a checkpoint folder of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ddpm_edu import __version__
from ddpm_edu.config import Config
from ddpm_edu.errors import CheckpointError
from ddpm_edu.files import only_writer
from ddpm_edu.presets import preset
from ddpm_edu.reference.archive import Archive
from ddpm_edu.reference.settings import ReferenceSettings, read_settings
from ddpm_edu.reference.unpickle import StoredTensor
from ddpm_edu.reference.weights import policy_state
from ddpm_edu.training.checkpoint import Checkpoint, write_policy

Weights = Literal["ema", "trained"]
_NAMES: dict[Weights, str] = {"ema": "ema_model", "trained": "model"}


@dataclass(frozen=True)
class Imported:
    """What an import found.

    Attributes:
        settings: the policy in our words, and where it behaves otherwise than the reference's.
        state: the state of the policy.
        weights: which weights were taken.
        step: optimiser steps that the reference had taken; 0 where the file does not say.
    """

    settings: ReferenceSettings
    state: dict[str, torch.Tensor]
    weights: Weights
    step: int


def import_checkpoint(path: Path, target: Path, weights: Weights | None = None) -> Imported:
    """Convert a checkpoint of the reference implementation. Nothing in the file is run.

    Args:
        path: what the reference saved, such as `latest.ckpt`.
        target: the folder to write; `load_policy` and `ddpm-edu rollout` take it.
        weights: the moving average, or the weights as trained; by default the average where there is one.

    Raises:
        CheckpointError: in one line, if the target exists, or the file is missing, broken, of another policy
            or task, or has a tensor or setting with no counterpart here.
        BusyError: if another process is writing the target.
    """
    _refuse_existing(target)
    imported = read_reference(path, weights)
    policy = imported.settings.policy
    published = preset(policy.task, policy.denoiser, observation=policy.observation, name="paper")
    about: dict[str, Any] = {
        "imported_from": path.name,
        "weights": _NAMES[imported.weights],
        "differences": list(imported.settings.notes),
        "ddpm_edu": __version__,
    }
    config = Config(policy=policy, training=published.training)
    with only_writer(target):
        _refuse_existing(target)  # another import may have made it meanwhile
        write_policy(target, Checkpoint(imported.step, config, None, imported.state, None, about))
    return imported


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise CheckpointError(f"{target} exists already; choose another folder for the imported policy")


def read_reference(path: Path, weights: Weights | None = None) -> Imported:
    """Read a checkpoint of the reference implementation; see `import_checkpoint`.

    Raises:
        CheckpointError: see `import_checkpoint`.
    """
    with Archive(path) as archive:
        try:
            return _read(archive, weights)
        except CheckpointError as error:
            named = str(error) if str(path) in str(error) else f"{path} cannot be imported: {error}"
            raise CheckpointError(named) from None
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} cannot be imported: what it holds is not put together as the reference does it "
                f"({type(error).__name__})"
            ) from error


def _read(archive: Archive, weights: Weights | None) -> Imported:
    content = archive.content
    states = content.get("state_dicts") if isinstance(content, dict) else None
    if not isinstance(states, dict) or "cfg" not in content:
        raise CheckpointError("it has no 'cfg' and 'state_dicts'; the reference's checkpoints have both")
    chosen: Weights = weights or ("ema" if _NAMES["ema"] in states else "trained")
    stored = states.get(_NAMES[chosen])
    if not isinstance(stored, dict) or not stored:
        there = ", ".join(repr(name) for name in states if name in _NAMES.values()) or "neither"
        raise CheckpointError(
            f"it has no weights {_NAMES[chosen]!r}; of 'model' and 'ema_model' it has {there}"
        )
    settings = read_settings(content["cfg"])
    state = {}
    for name, value in stored.items():
        if not isinstance(name, str) or not isinstance(value, StoredTensor):
            raise CheckpointError(f"its weights have an entry {str(name)[:200]!r} that is no tensor")
        state[name] = archive.tensor(value)
    ours = policy_state(state, settings.policy, settings.observation_order)
    return Imported(settings, ours, chosen, _step(archive, states.get("optimizer")))


def _step(archive: Archive, optimizer: Any) -> int:
    """Steps taken. The file's own counter is a pickle inside the pickle, which stays shut; Adam's serves."""
    states = optimizer.get("state") if isinstance(optimizer, dict) else None
    for state in states.values() if isinstance(states, dict) else ():
        step = state.get("step") if isinstance(state, dict) else None
        if isinstance(step, StoredTensor) and step.shape == ():
            step = int(archive.tensor(step))
        if isinstance(step, int) and step >= 0:
            return step
    return 0
