"""`ddpm-edu demo`: the main job. Train a policy on demonstrations, let it act, and report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ddpm_edu.commands.arguments import Settings, takes_settings
from ddpm_edu.tasks import get_task

DEMONSTRATIONS = 150
"""How many are collected for a task that ships none."""


@takes_settings()
def demo(
    settings: Settings,
    run_dir: Path | None = None,
    episodes: int = 50,
    first_seed: int = 100_000,
    workers: int | None = None,
    videos: int = 4,
) -> int:
    """Train a policy on demonstrations, roll it out in the simulator, and write a report.

    The demonstrations are the shipped ones; where none are, as for Lift, the task's expert gives 150 first.
    Stopped at any moment, the same command goes on from where it was.

    Args:
        settings: what is trained, on what, and how; the laptop preset by default.
        run_dir: the run's folder; by default runs/demo-TASK.
        episodes: episodes to roll out.
        first_seed: the simulator's seed of the first episode.
        workers: processes that simulate; by default one for each core.
        videos: episodes to film, successes and failures; 0 for no video.
    """
    from ddpm_edu.reporting.report import summarize, write_report
    from ddpm_edu.settings import at_least, to_dict
    from ddpm_edu.simulation.rollout import rollout
    from ddpm_edu.training.checkpoint import load_policy
    from ddpm_edu.training.stop import EXIT_CODES
    from ddpm_edu.training.trainer import Trainer

    for name, value, least in (("episodes", episodes, 1), ("workers", workers, 1), ("videos", videos, 0)):
        if value is not None:
            at_least(name, value, least)  # before the training, not after it
    run_dir = run_dir or Path("runs") / f"demo-{settings.policy.task}"
    shipped = get_task(settings.policy.task).shipped
    if settings.data.path is None and settings.policy.observation not in shipped:
        settings = replace(settings, data=replace(settings.data, path=str(_collected(settings, workers))))
    print("1 of 3: train", flush=True)
    trainer = Trainer(settings.config, run_dir)
    print(trainer.describe(), flush=True)
    training = trainer.run()
    if training.stopped:
        print(f"{training.stopped} at step {training.step}; saved. The same command goes on from there.")
        return EXIT_CODES[training.stopped]
    del trainer  # its optimiser and averages are three times the policy

    print(f"2 of 3: roll out {episodes} episodes", flush=True)
    # What acts is what was saved: a checkpoint that does not work shows here.
    policy = load_policy(training.checkpoint)
    config = settings.policy
    result = rollout(
        policy, config.task, episodes, first_seed=first_seed, workers=workers, observation=config.observation
    )

    print("3 of 3: report", flush=True)
    report = write_report(
        run_dir,
        policy,
        result,
        checkpoint=training.checkpoint,
        training=to_dict(settings.training),
        videos=videos,
    )
    print(summarize(result, report))
    return 0


def _collected(settings: Settings, workers: int | None) -> Path:
    """Demonstrations of the scripted expert; those of an earlier call are found again."""
    from ddpm_edu.simulation.collect import collect
    from ddpm_edu.simulation.workers import default_workers

    task, observation = settings.policy.task, settings.policy.observation
    n = settings.data.max_demonstrations or DEMONSTRATIONS
    out = Path("runs") / "demonstrations" / f"{task}_{observation}_{n}.hdf5"
    print(f"0 of 3: collect {n} demonstrations", flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    print(collect(task, n, out, observation, workers=workers or default_workers(n)), flush=True)
    return out
