"""`ddpm-edu rollout`: let a trained policy act in the simulator, and report how it went."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from ddpm_edu.errors import ConfigError


def rollout(
    checkpoint: tyro.conf.Positional[Path],
    episodes: int = 100,
    first_seed: int = 100_000,
    noise_seed: int = 0,
    workers: int | None = None,
    videos: int = 4,
    scheduler: str | None = None,
    inference_steps: int | None = None,
    n_action_steps: int | None = None,
    weights: Literal["ema", "trained"] = "ema",
    device: str | None = None,
    out: Path | None = None,
) -> None:
    """Let a trained policy act in the simulator, and write a report with a video.

    The same seeds give the same episodes, whatever the number of workers.

    Args:
        checkpoint: a run's folder, of which the newest checkpoint is taken, or one checkpoint's.
        episodes: how many to play.
        first_seed: the simulator's seed of the first episode; the others count up from it.
        noise_seed: seed of the policy's noise.
        workers: processes that simulate; by default one for each core.
        videos: episodes to film, successes and failures; 0 for no video.
        scheduler: another sampler than the policy was trained with; needs no new training.
        inference_steps: denoising steps for each decision; by default as configured.
        n_action_steps: Ta, actions executed before the policy looks again; by default as configured.
        weights: the moving average, or the weights as trained.
        device: "cpu" or "cuda"; by default the GPU if there is one.
        out: folder for the report; by default "rollout" in the run's folder.
    """
    import torch

    from ddpm_edu.files import only_writer
    from ddpm_edu.reporting.report import refuse_foreign_report, summarize, write_report
    from ddpm_edu.settings import at_least
    from ddpm_edu.simulation.rollout import rollout as play
    from ddpm_edu.training.checkpoint import BEST, find_checkpoint, load_policy, read_checkpoint

    at_least("videos", videos, 0)
    gpu = torch.cuda.is_available()
    device = device or ("cuda" if gpu else "cpu")
    if device != "cpu" and not (gpu and device.split(":")[0] == "cuda"):
        raise ConfigError(f"device is {device!r}; it must be 'cpu' or, where torch finds a GPU, 'cuda'")
    path = find_checkpoint(checkpoint)
    policy = load_policy(path, weights=weights, device=device)
    read = read_checkpoint(path, training=False)  # now: a run that goes on deletes its older checkpoints
    asked = {
        policy.config.process.sampler_setting: scheduler,
        "num_inference_steps": inference_steps,
        "n_action_steps": n_action_steps,
    }
    policy = policy.with_settings(**{name: value for name, value in asked.items() if value is not None})
    run_dir = path.parent.parent if path.parent.name == "checkpoints" else path
    if out is None:
        # A checkpoint that stands alone may come with the repository: nothing is written there.
        part = "rollout-best" if path.name == BEST else "rollout"
        out = run_dir / part if run_dir != path else Path("runs") / f"{path.name}-rollout"
    # A place that cannot be written to must show before the episodes are played, not after.
    with only_writer(out):
        out.mkdir(parents=True, exist_ok=True)
        refuse_foreign_report(out)
        result = play(
            policy,
            policy.config.task,
            episodes,
            first_seed=first_seed,
            workers=workers,
            noise_seed=noise_seed,
        )
        report = write_report(
            run_dir,
            policy,
            result,
            out=out,
            checkpoint=path,
            training=read.config.training,
            step=read.step,
            videos=videos,
        )
    print(summarize(result, report))
