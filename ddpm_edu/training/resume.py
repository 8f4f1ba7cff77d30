"""Going on with a run: what is kept beside the weights, what may differ, and where weights may come from."""

from __future__ import annotations

import platform
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ddpm_edu.config import Config
from ddpm_edu.errors import CheckpointError, ConfigError
from ddpm_edu.files import remove_unfinished
from ddpm_edu.settings import differences, to_dict
from ddpm_edu.training.checkpoint import (
    BEST,
    Checkpoint,
    find_checkpoint,
    first_not_finite,
    list_checkpoints,
    load_state,
    newest_step,
    origin,
    read_checkpoint,
    refuse_impostors,
    save_checkpoint,
)
from ddpm_edu.training.files import split_tensors
from ddpm_edu.training.losses import diverged
from ddpm_edu.training.optimizer import set_learning_rate
from ddpm_edu.training.validation import Best

if TYPE_CHECKING:
    from ddpm_edu.training.trainer import Trainer

DEMONSTRATIONS, INIT_FROM = "demonstrations", "init_from"
"""Entries of `Checkpoint.about`: the fingerprint of what is learned from, and where the weights came from."""

RUN_FILES = ("checkpoints", "log.jsonl", "tensorboard")
"""What a run writes into its folder: one with other things, and none of these, is somebody's."""

# How often to log, validate and save does not change what is learned.
_FREE = ("log_every", "validate_every", "checkpoint_every", "keep_checkpoints", "rollout_every",
         "rollout_episodes")  # fmt: skip


def about_run(trainer: Trainer) -> dict[str, Any]:
    """What made a run: versions, machine, and which demonstrations and first weights."""
    from ddpm_edu import __version__

    return {
        "ddpm_edu": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": str(trainer.accelerator.device),
        DEMONSTRATIONS: trainer.demonstrations,
        **({INIT_FROM: trainer.init_from} if trainer.init_from else {}),
    }


def training_state(trainer: Trainer, seconds: float) -> dict[str, Any]:
    """Everything but the weights that a run needs to go on as if it had not been stopped."""
    state = {
        "optimizer": trainer.optimizer.state_dict(),
        "learning_rate": trainer.learning_rate.state_dict(),
        "n_averaged": trainer.ema.n_averaged,
        "generator": trainer.generator.get_state(),
        "batches": trainer.batches.state_dict(),
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "seconds": seconds,
        "losses": trainer.losses.read_already,
        BEST: asdict(trainer.best),
    }
    if trainer.accelerator.scaler is not None:
        state["scaler"] = trainer.accelerator.scaler.state_dict()
    return state


def resume(trainer: Trainer) -> None:
    """Puts a trainer where its folder's newest checkpoint is, if there is one.

    Raises:
        ConfigError: if that is of another run, or if a fresh run's warm-up would not end before the run.
        CheckpointError: if it is broken.
    """
    training = trainer.config.training
    if not list_checkpoints(trainer.checkpoints):
        if training.warmup_steps >= training.steps:
            raise ConfigError(
                f"training.warmup_steps {training.warmup_steps} leaves none of training.steps "
                f"{training.steps} at the full learning rate; take a shorter warm-up or more steps"
            )
        return
    checkpoint = read_checkpoint(trainer.run_dir)
    refuse_another_run(trainer.run_dir, checkpoint, trainer.config, trainer.demonstrations, trainer.init_from)
    trainer.init_from = checkpoint.about.get(INIT_FROM)
    load_state(trainer.policy, checkpoint.weights, trainer.run_dir)
    load_state(trainer.ema.module, checkpoint.ema, trainer.run_dir)
    try:
        _restore(trainer, checkpoint.training)
    except (AttributeError, KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        newest = list_checkpoints(trainer.checkpoints)[-1]
        raise CheckpointError(
            f"{newest / 'training.json'} does not hold what resuming needs ({error!r}); remove {newest}: "
            "the run goes on from the checkpoint before it"
        ) from None
    trainer.step = checkpoint.step
    if checkpoint.config.training.steps != training.steps:
        set_learning_rate(trainer.learning_rate)


def _restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Put back everything but the weights."""
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.learning_rate.load_state_dict(state["learning_rate"])
    trainer.ema.n_averaged.copy_(state["n_averaged"])
    trainer.generator.set_state(state["generator"])
    trainer.batches.load_state_dict(state["batches"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        # Every process drew the same so far: each takes the first one's state for its own device.
        torch.cuda.set_rng_state(state["cuda"][0])
    if trainer.accelerator.scaler is not None:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    trainer.seconds = state["seconds"]
    # Runs from before these two were kept go on too.
    trainer.losses.read_already = [float(loss) for loss in state.get("losses", [])]
    kept = state.get(BEST)
    if kept and kept["by_success"] == trainer.best.by_success:
        trainer.best = Best(**kept)


def clear_the_way(run_dir: Path, step: int) -> None:
    """Makes a run's folder ready for its only writer: what a dead one left half done is removed.

    Args:
        run_dir: the run's folder.
        step: at which this process goes on.

    Raises:
        ConfigError: if another process has saved a later step since.
        UserError: if something stands under a checkpoint's name that is none.
    """
    checkpoints = run_dir / "checkpoints"
    remove_unfinished(checkpoints)
    refuse_impostors(checkpoints)
    newest = newest_step(checkpoints)
    if newest not in (0, step):
        raise ConfigError(
            f"another process has trained {run_dir} to step {newest}, since this one began at step "
            f"{step}; start again to go on from there"
        )


def begin_from(trainer: Trainer, source: str | Path) -> dict[str, Any] | None:
    """Gives a fresh run a checkpoint's averaged weights, but not its normaliser; says which they were.

    An encoder that was taught to tell the object's pose goes on telling it, from readings in the new units.

    Raises:
        CheckpointError: if there is no such checkpoint, or it is broken, or does not fit the policy.
    """
    begun = newest_step(trainer.checkpoints) > 0
    try:
        path = find_checkpoint(source)
    except CheckpointError:
        if not begun:
            raise
        return None  # taken long ago, and gone since
    if not begun:
        taken = read_checkpoint(path, training=False).ema
        normalizer = trainer.policy.normalizer
        fitted = deepcopy(normalizer.state_dict())
        load_state(trainer.policy, taken, path)
        earlier = deepcopy(normalizer)
        normalizer.load_state_dict(fitted)
        trainer.policy.obs_encoder.change_readings(earlier, normalizer)
    return origin(path)


def save_finite(checkpoints: Path, checkpoint: Checkpoint) -> None:
    """Saves a run's state after a step, unless something of it is not finite.

    Raises:
        TrainingError: naming what is not; the checkpoints that are there stay.
    """
    training = checkpoint.config.training
    if entry := _first_not_finite_entry(checkpoint):
        raise diverged(f"after step {checkpoint.step} {entry} is not finite", checkpoints, training)
    save_checkpoint(checkpoints, checkpoint, keep=training.keep_checkpoints)


def _first_not_finite_entry(checkpoint: Checkpoint) -> str | None:
    """What of a checkpoint holds a NaN or an infinity, in words.

    A finite loss can have a gradient that is not: it shows in the weights and in AdamW's averages.
    """
    _, moments = split_tensors(checkpoint.training["optimizer"])
    parts = {"weight": checkpoint.weights, "averaged weight": checkpoint.ema, "AdamW's average": moments}
    for kind, state in parts.items():
        if name := first_not_finite(state):
            return f"the {kind} {name}"
    return None


def refuse_another_run(
    run_dir: Path, saved: Checkpoint, config: Config, demonstrations: str, init_from: dict[str, Any] | None
) -> None:
    """Refuses to go on with a run by other settings, on other demonstrations, or from other first weights.

    More steps than before may be asked for: the learning rate at each further step is that of a run which
    had been given so many from the start.

    Args:
        run_dir: the run's folder.
        saved: its newest checkpoint.
        config: what is asked for.
        demonstrations: the fingerprint of what was read.
        init_from: the checkpoint that the weights are asked to come from, as in `Checkpoint.about`.

    Raises:
        ConfigError: naming the first difference.
    """
    free = _FREE
    if config.training.steps > saved.config.training.steps:
        free += ("steps", "warmup_steps")
    same = {name: getattr(saved.config.training, name) for name in free}
    mine = replace(config, training=replace(config.training, **same))
    known = saved.about.get(DEMONSTRATIONS)  # None in a run from before there was one: its path must do
    if known or _same_file(saved.config.data.path, config.data.path):
        mine = replace(mine, data=replace(mine.data, path=saved.config.data.path))
    if changed := differences(to_dict(saved.config), to_dict(mine)):
        name, old, new = changed[0]
        raise ConfigError(
            f"{run_dir} holds a run with {name} = {old!r}, and {new!r} is asked for; "
            "choose another --run-dir, or the same settings to resume it"
        )
    if known and known != demonstrations:
        raise ConfigError(
            f"{run_dir} holds a run on other demonstrations (fingerprint {known[:12]}, and "
            f"{config.data.path or 'the shipped file'} has {demonstrations[:12]}); choose another --run-dir"
        )
    began = saved.about.get(INIT_FROM)
    if init_from and init_from["sha256"] != (began or {}).get("sha256"):
        raise ConfigError(
            f"{run_dir} holds a run that began from {began['path'] if began else 'fresh weights'}, and "
            f"{init_from['path']} is asked for; choose another --run-dir"
        )


def _same_file(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and Path(one).resolve() == Path(other).resolve()
