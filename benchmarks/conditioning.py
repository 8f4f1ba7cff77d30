"""Global conditioning against inpainting: the same data, seed and number of steps, in the simulator.

    python benchmarks/conditioning.py --global RUN ROLLOUT --inpainting RUN ROLLOUT

RUN is a training run's folder (its log is read), ROLLOUT one that `ddpm-edu rollout RUN --episodes 100
--first-seed 200000` wrote. Both policies: `ddpm-edu train --task can --denoiser unet --conditioning ...`,
laptop preset, seed 0. Besides the two reports it measures here, on demonstrations that were held out, how far
the shipped policies' actions are from the demonstrator's, and a decision's CPU time. The result,
data/measurements/conditioning.json, is what notebook 10 reads.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.windows import Windows
from ddpm_edu.files import write_atomically
from ddpm_edu.paths import shipped_demonstrations, shipped_policy
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.training.checkpoint import load_policy
from ddpm_edu.training.log import read_log

RESULT = Path(__file__).resolve().parents[1] / "data" / "measurements" / "conditioning.json"
POLICIES = {"global": "can_unet", "inpainting": "can_unet_inpainting"}


def held_out(policy: DiffusionPolicy, n: int) -> dict[str, Any]:
    """n windows, evenly spread, of the demonstrations that neither policy was trained on."""
    demonstrations = Demonstrations.read(shipped_demonstrations("can"), "can", filter_key="valid")
    windows = Windows(demonstrations, policy.horizon, policy.n_obs_steps, policy.n_action_steps)
    whole = (~windows.is_pad.any(dim=1)).nonzero()[:, 0]
    return windows.batch(whole[torch.linspace(0, len(whole) - 1, n).long()])


def action_error(policy: DiffusionPolicy, batch: dict[str, Any]) -> dict[str, float]:
    """Mean absolute difference of the executed actions to the demonstrator's; and its standard error."""
    result = policy.predict_action(batch["obs"], generator=torch.Generator().manual_seed(0))
    start = policy.n_obs_steps - 1
    error = (result["action"] - batch["action"][:, start : start + policy.n_action_steps]).abs()
    per_window = error.mean(dim=(1, 2))  # (B,)
    return {
        "mean": round(float(per_window.mean()), 4),
        "standard_error": round(float(per_window.std() / len(per_window) ** 0.5), 4),
        "windows": len(per_window),
    }


def decision_seconds(policy: DiffusionPolicy, batch: dict[str, Any], repeats: int = 5) -> float:
    """CPU seconds of one decision at batch 1 and one thread: the median of a few."""
    obs = {key: value[:1] for key, value in batch["obs"].items()}
    seconds = []
    for _ in range(repeats + 1):
        start = time.process_time()
        policy.predict_action(obs)
        seconds.append(time.process_time() - start)
    return round(statistics.median(seconds[1:]), 4)


def describe(name: str, run: Path, played: Path) -> dict[str, Any]:
    """What is known about one policy."""
    report = json.loads((played / "report.json").read_text())
    episodes = json.loads((played / "rollout.json").read_text())["episodes"]
    policy = load_policy(shipped_policy(POLICIES[name]))
    batch = held_out(policy, 256)
    losses = [
        [row["step"], round(row["validation_loss"], 5)] for row in read_log(run) if "validation_loss" in row
    ]
    return {
        "policy": POLICIES[name],
        "parameters": report["parameters"],
        "training_steps": report["training"]["steps"],
        "training_seed": report["config"]["training"]["seed"],
        "training_seconds": round(report["training"]["seconds"]),
        "validation_losses": losses,
        "episodes": report["episodes"],
        "successes": report["successes"],
        "interval_95": [round(bound, 4) for bound in report["interval_95"]],
        "first_seed": report["first_seed"],
        "failed_seeds": [episode["seed"] for episode in episodes if not episode["success"]],
        "command": report["command"],
        "action_error": action_error(policy, batch),
        "decision_cpu_seconds": decision_seconds(policy, batch),
    }


def main() -> int:
    """Gathers both policies and writes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in POLICIES:
        parser.add_argument(f"--{name}", nargs=2, type=Path, required=True, metavar=("RUN", "ROLLOUT"))
    arguments = vars(parser.parse_args())
    torch.set_num_threads(1)
    result = {
        "command": "python benchmarks/conditioning.py "
        + " ".join(f"--{name} {' '.join(map(str, arguments[name]))}" for name in POLICIES),
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()} CPU, one thread, under other load; torch {torch.__version__}",
        "policies": {name: describe(name, *arguments[name]) for name in POLICIES},
    }
    with write_atomically(RESULT) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())
    for name, row in result["policies"].items():
        print(f"{name:10s} {row['successes']}/{row['episodes']}  action error {row['action_error']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
