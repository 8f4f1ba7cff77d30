"""`ddpm-edu train`: train a policy, or go on with a run that was stopped."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_edu.commands.arguments import Settings, takes_settings
from ddpm_edu.commands.next_step import say_how_it_acts
from ddpm_edu.errors import ConfigError
from ddpm_edu.training.stop import EXIT_CODES, check_time_limit

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy


FIRST_ROLLOUT_SEED = 500_000
"""Rollouts during training begin where no final evaluation does: they choose the best checkpoint."""


@takes_settings()
def train(
    settings: Settings,
    run_dir: Path | None = None,
    max_minutes: float | None = None,
    seeds: tuple[int, ...] = (),
    init_from: Path | None = None,
) -> int | None:
    """Train a policy. The same command goes on with a run that was stopped.

    With more --steps it goes on beyond its end; the learning rate is then that of a run of so many steps.

    The exit code is 0 if the last step or --max-minutes was reached, 2 if something has to be mended, and 128
    plus the signal's number if one asked to stop: 130 (Ctrl-C), 143 (SIGTERM), 129 (closed terminal). In all
    of these but 2, the run is saved at the step that it had reached; a second Ctrl-C stops at once and
    saves nothing more.

    Args:
        settings: what is trained, on what, and how.
        run_dir: the run's folder; by default runs/ and a name made from the settings.
        max_minutes: stop cleanly, with a checkpoint, after so many minutes.
        seeds: train one policy for each of these seeds, one after the other; each has its own run, whose
            folder ends in -seed and the number.
        init_from: a run or checkpoint of the same kind of policy; training begins with its weights.
    """
    check_time_limit(max_minutes)
    if not seeds:
        return _train(settings, run_dir or default_run_dir(settings), max_minutes, init_from)[0]
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds is {' '.join(map(str, seeds))}; each seed once")
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    for number, seed in enumerate(seeds):
        one = replace(settings, training=replace(settings.training, seed=seed))
        folder = default_run_dir(one) if run_dir is None else run_dir.with_name(f"{run_dir.name}-seed{seed}")
        left = None if deadline is None else (deadline - time.monotonic()) / 60
        if number and left is not None:  # the first trainer has made the processes know each other
            left = _of_the_first_process(left)
        if left is not None and left <= 0:
            if int(os.environ.get("RANK", 0)) == 0:
                print(f"seed {seed} was not begun: reached --max-minutes {max_minutes:g}")
            continue
        code, stopped = _train(one, folder, left, init_from)
        if stopped in EXIT_CODES:  # whoever stops one run stops the command
            return code
    return None


train.short_help = (
    "ddpm-edu train --task can --denoiser transformer --steps 24000",
    (
        "--task",
        "--observation",
        "--denoiser",
        "--conditioning",
        "--process",
        "--preset",
        "--path",
        "--steps",
        "--batch-size",
        "--learning-rate",
        "--seed",
        "--run-dir",
        "--max-minutes",
    ),
)


def _train(
    settings: Settings, run_dir: Path, max_minutes: float | None, init_from: Path | None
) -> tuple[int | None, str | None]:
    """Trains one run; returns the exit code, and why it stopped if it did."""
    from ddpm_edu.training.trainer import Trainer

    play = _play if settings.training.rollout_every else None
    trainer = Trainer(settings.config, run_dir, play=play, init_from=init_from)
    if trainer.accelerator.is_main_process:
        print(trainer.describe())
    result = trainer.run(max_minutes=max_minutes)
    if not trainer.accelerator.is_main_process:
        return None, result.stopped
    steps = settings.training.steps
    if result.stopped:
        print(
            f"{result.stopped} at step {result.step} of {steps}; saved. The same command goes on from there."
        )
        return EXIT_CODES.get(result.stopped, 0), result.stopped
    print(f"trained {result.step} steps to a loss of {result.loss:.4f}; checkpoint: {result.checkpoint}")
    if trainer.best.step is not None:
        print(f"best: step {trainer.best.step}, {trainer.best}: {run_dir / 'checkpoints' / 'best'}")
    say_how_it_acts(run_dir)
    return None, None


def _of_the_first_process(value: float) -> float:
    # Clocks differ a little, and processes that disagree on whether to go on wait for each other for ever.
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def _play(policy: DiffusionPolicy, episodes: int) -> float:
    from ddpm_edu.simulation.rollout import rollout

    result = rollout(policy, policy.config.task, episodes, first_seed=FIRST_ROLLOUT_SEED, progress=False)
    return result.success_rate


def default_run_dir(settings: Settings) -> Path:
    """A folder whose name says what is trained."""
    policy = settings.policy
    words = [policy.task, policy.observation, policy.denoiser.name, policy.conditioning, settings.preset]
    return Path("runs") / "-".join([*words, f"seed{settings.training.seed}"])
