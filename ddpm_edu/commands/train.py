"""`ddpm-edu train`: train a policy, or go on with a run that was stopped."""

from __future__ import annotations

import sys
from pathlib import Path

from ddpm_edu.commands.arguments import Settings, SettingsOptions, takes_settings


@takes_settings()
def train(
    settings: SettingsOptions, run_dir: Path | None = None, max_minutes: float | None = None
) -> int | None:
    """Train a policy. The same command goes on with a run that was stopped.

    Args:
        settings: what is trained, on what, and how.
        run_dir: the run's folder; by default runs/ and a name made from the settings.
        max_minutes: stop cleanly, with a checkpoint, after so many minutes.
    """
    from ddpm_edu.training.trainer import Trainer

    run_dir = run_dir or default_run_dir(settings)
    trainer = Trainer(settings.config, run_dir)
    if trainer.accelerator.is_main_process:
        print(trainer.describe())
    result = trainer.run(max_minutes=max_minutes)
    if not trainer.accelerator.is_main_process:
        return None
    steps = settings.training.steps
    if result.stopped:
        print(
            f"{result.stopped} at step {result.step} of {steps}; saved. The same command goes on from there."
        )
        return 130 if result.stopped == "interrupted" else 0
    print(f"trained {result.step} steps to a loss of {result.loss:.4f}; checkpoint: {result.checkpoint}")
    print(f"watch it act: {Path(sys.argv[0]).name} rollout {run_dir}")
    return None


def default_run_dir(settings: Settings) -> Path:
    """A folder whose name says what is trained."""
    policy = settings.policy
    words = [policy.task, policy.observation, policy.denoiser, policy.conditioning, settings.preset]
    return Path("runs") / "-".join([*words, f"seed{settings.training.seed}"])
