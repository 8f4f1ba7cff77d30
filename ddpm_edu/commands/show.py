"""`ddpm-edu show`: one episode of a policy, to look at from all sides."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional


def show(
    checkpoint: Positional[Path],
    seed: int = 200_000,
    plans: int = 16,
    weights: Literal["ema", "trained"] = "ema",
    out: Path | None = None,
) -> None:
    """Play one episode and write it as an HTML file: every decision, its denoising, what was carried out.

    The file needs nothing beside it and asks no other host.

    Args:
        checkpoint: a run's folder, of which the newest checkpoint is taken, or one checkpoint's.
        seed: the simulator's seed of the episode.
        plans: how many noises are denoised at each decision; the first is carried out.
        weights: the moving average, or the weights as trained.
        out: the file to write; by default show.html in the run's folder.
    """
    from ddpm_edu.reporting.episode_page import refuse_foreign_page, write_episode_page
    from ddpm_edu.settings import at_least
    from ddpm_edu.training.checkpoint import find_checkpoint, load_policy
    from ddpm_edu.viz.episode import record_episode

    at_least("plans", plans)
    at_least("seed", seed, 0)
    path = find_checkpoint(checkpoint)
    policy = load_policy(path, weights=weights)
    if out is None:
        # A checkpoint that stands alone may come with the repository: nothing is written there.
        alone = path.parent.name != "checkpoints"
        out = Path("runs") / f"{path.name}-show.html" if alone else path.parent.parent / "show.html"
    refuse_foreign_page(out)  # before the episode is played
    record = record_episode(policy, seed, plans)
    write_episode_page(record, out)
    end = "succeeded" if record["success"] else "failed"
    print(
        f"{out}: {out.stat().st_size / 1e6:.1f} MB; {len(record['decisions'])} decisions, the episode {end}; "
        "open it in a browser"
    )
