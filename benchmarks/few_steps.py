"""How many denoising steps does a trained policy need? Success in the simulator, step count by step count.

    python benchmarks/few_steps.py [--policy can_unet] [--episodes 20] [--steps 1 2 4 10]

Plays the same starts with DDIM in few steps and in many, and writes data/measurements/few_steps.json, which
notebook 13 reads. What is already in the file is not played again. A decision's time is that of the process's
own CPU, at batch 1 and one thread, so that a loaded machine does not change it much.
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

import torch

from ddpm_edu.cpu import accelerate_sampling
from ddpm_edu.files import write_atomically
from ddpm_edu.paths import shipped_policy
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.simulation.intervals import wilson_interval
from ddpm_edu.simulation.rollout import rollout
from ddpm_edu.training.checkpoint import load_policy

RESULT = Path(__file__).resolve().parents[1] / "data" / "measurements" / "few_steps.json"
FIRST_SEED = 100_000
"""No demonstration has such a seed."""


def decision_seconds(policy: DiffusionPolicy, repeats: int = 5) -> float:
    """CPU seconds of one decision at batch 1: the median of a few."""
    data = torch.zeros(1, policy.n_obs_steps, 23)  # (1, To, Do): what is seen does not change the time
    conditions = policy.conditioning.for_sampling(data)
    seconds = []
    for _ in range(repeats + 1):
        start = time.process_time()
        policy.conditional_sample(conditions.condition_data, **conditions.denoiser_inputs)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[1:])  # the first one warms up


def main() -> int:
    """Plays what is missing and writes the file after each step count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", default="can_unet")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 10])
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    shipped = load_policy(shipped_policy(arguments.policy)).eval()
    result = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    if (result.get("policy"), result.get("episodes")) != (arguments.policy, arguments.episodes):
        result = {
            "command": "python " + " ".join(sys.argv),
            "policy": arguments.policy,
            "episodes": arguments.episodes,
            "first_seed": FIRST_SEED,
            "noise_seed": 0,
            "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
            "date": datetime.date.today().isoformat(),
            "samplers": {},
        }
    for n in arguments.steps:
        name = f"ddim-{n}"
        if name in result["samplers"]:
            continue
        policy = shipped.with_settings(scheduler="ddim", num_inference_steps=n)
        accelerate_sampling(policy, on=False)
        plain = decision_seconds(policy)
        accelerate_sampling(policy)
        fast = decision_seconds(policy)
        played = rollout(
            policy,
            policy.config.task,
            episodes=arguments.episodes,
            first_seed=FIRST_SEED,
            workers=arguments.workers,
        )
        successes = sum(episode.success for episode in played.episodes)
        result["samplers"][name] = {
            "steps": n,
            "successes": successes,
            "interval_95": wilson_interval(successes, arguments.episodes),
            "median_length": statistics.median(episode.length for episode in played.episodes),
            "plain_cpu_seconds": round(plain, 5),
            "accelerated_cpu_seconds": round(fast, 5),
        }
        print(name, result["samplers"][name], flush=True)
        RESULT.parent.mkdir(exist_ok=True)
        with write_atomically(RESULT) as file:
            file.write(json.dumps(result, indent=1).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
