"""`ddpm-edu demo`: the main job. Train a policy on shipped demonstrations, let it act, and report."""

from __future__ import annotations

from pathlib import Path

from ddpm_edu.commands.arguments import Settings, takes_settings


@takes_settings()
def demo(
    settings: Settings,
    run_dir: Path | None = None,
    episodes: int = 50,
    first_seed: int = 100_000,
    workers: int | None = None,
    videos: int = 4,
) -> int:
    """Train a policy on the shipped demonstrations, roll it out in the simulator, and write a report.

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
    from ddpm_edu.training.trainer import Trainer

    for name, value, least in (("episodes", episodes, 1), ("workers", workers, 1), ("videos", videos, 0)):
        if value is not None:
            at_least(name, value, least)  # before the training, not after it
    run_dir = run_dir or Path("runs") / f"demo-{settings.policy.task}"
    print("1 of 3: train", flush=True)
    trainer = Trainer(settings.config, run_dir)
    print(trainer.describe(), flush=True)
    training = trainer.run()
    if training.stopped:
        print(f"{training.stopped} at step {training.step}; saved. The same command goes on from there.")
        return 130
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
