"""The walk that every choice must stand: train, roll out, report, card. By command, as its user would."""

from __future__ import annotations

import json
from pathlib import Path

from ddpm_edu import cli
from ddpm_edu.training.checkpoint import load_policy

SMALL = {
    "unet": ["--down-dims", "8", "16", "--n-groups", "4", "--diffusion-step-embed-dim", "8"],
    "transformer": ["--n-layer", "1", "--n-head", "2", "--n-emb", "8"],
}


def walk(folder: Path, *options: str, denoiser: str = "unet") -> dict:
    """Takes a configuration through all commands; returns its result card.

    Args:
        folder: where runs and cards go.
        *options: of `ddpm-edu train`.
        denoiser: its small sizes are taken.
    """
    run, results = folder / "run", folder / "results"
    short = ["--steps", "5", "--batch-size", "4", "--warmup-steps", "1", "--log-every", "1"]
    few = ["--max-demonstrations", "2", "--num-inference-steps", "2"]
    chosen = ["--denoiser", denoiser, *SMALL.get(denoiser, []), *options]
    assert cli.main(["train", *chosen, *short, *few, "--run-dir", str(run)]) in (0, None)
    command = ["rollout", str(run), "--episodes", "1", "--workers", "1", "--videos", "0"]
    assert cli.main(command) in (0, None)
    report = (run / "rollout" / "report.html").read_text()
    where = ["--out", str(results), "--readme", str(folder / "no-readme.md")]
    assert cli.main(["results", "card", str(run), *where]) in (0, None)
    (page,) = (path for path in results.glob("*.md") if path.name != "README.md")
    card = json.loads(page.with_suffix(".json").read_text())
    policy = load_policy(run)
    for text in (report, page.read_text()):
        assert policy.config.denoiser.title in text
    assert card["last"]["episodes"] == 1
    return card
