"""Loss and successes over one training: every checkpoint that a run kept plays the same starts.

    ddpm-edu train --task lift --denoiser transformer --path runs/demonstrations/lift_low_dim_150.hdf5 \
        --validate-every 200 --checkpoint-every 200 --keep-checkpoints 8 --run-dir runs/lift
    OMP_NUM_THREADS=1 python benchmarks/learning_curve.py runs/lift [--episodes 30] [--first-seed 300000]

The demonstrations are those that `ddpm-edu demo --task lift` collects first. The result,
data/measurements/learning_curve.json, is what notebook 12 reads.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from datetime import date
from pathlib import Path

from ddpm_edu.files import write_atomically
from ddpm_edu.paths import DATA
from ddpm_edu.reporting.card_commands import training_command
from ddpm_edu.simulation.rollout import rollout
from ddpm_edu.training.checkpoint import list_checkpoints, load_policy, read_checkpoint
from ddpm_edu.training.log import read_log


def main() -> None:
    """Plays and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--first-seed", type=int, default=300_000)
    arguments = parser.parse_args()
    checkpoints = list_checkpoints(arguments.run / "checkpoints")
    rows = []
    for checkpoint in checkpoints:
        policy = load_policy(checkpoint)
        result = rollout(
            policy,
            policy.config.task,
            arguments.episodes,
            arguments.first_seed,
            workers=1,
            progress=False,
        )
        outcomes = "".join("+" if episode.success else "-" for episode in result.episodes)
        rows.append({"step": int(checkpoint.name[5:]), "outcomes": outcomes})
        print(rows[-1], result, flush=True)
    log = read_log(arguments.run)
    last = read_checkpoint(checkpoints[-1])
    measured = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()} CPU",
        "training": training_command(last.config, "runs/lift", last.about.get("command")),
        "command": f"python {' '.join(sys.argv)}",
        "task": last.config.policy.task,
        "seed": last.config.training.seed,
        "first_seed": arguments.first_seed,
        "training_loss": [[entry["step"], round(entry["loss"], 5)] for entry in log if "loss" in entry],
        "validation_loss": [
            [entry["step"], round(entry["validation_loss"], 5)] for entry in log if "validation_loss" in entry
        ],
        "rows": rows,
    }
    with write_atomically(DATA / "measurements" / "learning_curve.json") as file:
        file.write(json.dumps(measured, indent=1).encode())


if __name__ == "__main__":
    main()
