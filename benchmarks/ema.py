"""What averaging the weights changes: the action error on held-out windows, averaged against last weights.

    OMP_NUM_THREADS=1 python benchmarks/ema.py RUN [RUN ...] [--windows 256]

RUN is a training run's folder; all its checkpoints are measured. Every number comes from the same windows and
the same noise. The result, data/measurements/ema.json, is what notebook 12 reads. It is an action error, not
a success rate: a demonstration shows one of several good motions.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from datetime import date
from pathlib import Path

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.windows import Windows
from ddpm_edu.files import write_atomically
from ddpm_edu.paths import DATA, shipped_demonstrations
from ddpm_edu.training.checkpoint import list_checkpoints, load_policy
from ddpm_edu.training.validation import validation_action_error, validation_loss


def measure(checkpoint: Path, windows_at_most: int) -> dict[str, object]:
    """Loss and action error of one checkpoint, by its averaged and by its last weights."""
    row: dict[str, object] = {"run": checkpoint.parents[1].name, "step": int(checkpoint.name[5:])}
    for weights in ("ema", "trained"):
        policy = load_policy(checkpoint, weights=weights)
        config = policy.config
        held_out = Demonstrations.read(
            shipped_demonstrations(config.task, config.observation),
            config.task,
            config.observation,
            filter_key="valid",
        )
        windows = Windows(
            held_out,
            policy.horizon,
            policy.n_obs_steps,
            policy.n_action_steps,
            obs_steps=policy.conditioning.training_obs_steps,
        )
        row[weights] = {
            "action_error": validation_action_error(policy, windows, 64, windows_at_most),
            "loss": validation_loss(policy, windows, 64, windows_at_most),
        }
    return row


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--windows", type=int, default=256)
    arguments = parser.parse_args()
    rows = [
        measure(checkpoint, arguments.windows)
        for run in arguments.runs
        for checkpoint in list_checkpoints(run / "checkpoints")
    ]
    names = " ".join(run.name for run in arguments.runs)
    result = {
        "command": f"python benchmarks/ema.py {names} --windows {arguments.windows}",
        "seed": 0,
        "windows": arguments.windows,
        "date": str(date.today()),
        "machine": f"{platform.machine()}, one CPU thread, Python {sys.version.split()[0]}",
        "rows": rows,
    }
    target = DATA / "measurements" / "ema.json"
    with write_atomically(target) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
