"""What waiting costs where other programs run: wall time of a training step by how long threads spin.

    python benchmarks/threads.py [--steps 10] [--repeats 3]

Each figure is of a process of its own: libgomp takes its number when it is loaded. Columns are the number
of other programs that keep a core busy; they are started here. Wants an otherwise idle machine; prints a
Markdown table, median and range in milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from ddpm_edu.threads import SPINS

LOOKS = {"libgomp's own": None, f"{int(SPINS):,} (ours)": SPINS, "none": "0", "one thread": None}


def milliseconds_a_step(steps: int) -> float:
    """Of the Can UNet of the laptop preset, batch of that preset."""
    import torch

    from ddpm_edu.cpu import accelerate_training
    from ddpm_edu.factory import build_policy
    from ddpm_edu.presets import preset
    from ddpm_edu.training.optimizer import make_optimizer

    config = preset("can", "unet")
    policy = build_policy(config.policy).train()
    accelerate_training(policy)
    optimizer = make_optimizer(policy, config.training)
    B = config.training.batch_size
    features = torch.randn(B, policy.n_obs_steps, 23)  # (B, To, Do)
    action = torch.rand(B, policy.horizon, policy.action_dim) * 2 - 1
    inputs = policy.conditioning.for_training(features, action).denoiser_inputs
    timesteps = torch.randint(0, 100, (B,))
    for step in range(steps + 2):
        if step == 2:
            start = time.perf_counter()
        policy.denoiser(action, timesteps, **inputs).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - start) / steps * 1000


@contextlib.contextmanager
def busy_programs(number: int) -> Iterator[None]:
    """So many processes that compute."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def measure(name: str, steps: int) -> float:
    """One process."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")}
    # 300,000 is what libgomp takes where nothing is set; ours would set its own.
    environment["GOMP_SPINCOUNT"] = LOOKS[name] or "300000"
    if name == "one thread":
        environment["OMP_NUM_THREADS"] = "1"
    said = subprocess.run(
        [sys.executable, __file__, "--one", "--steps", str(steps)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(said.stdout)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(milliseconds_a_step(arguments.steps))
        return
    others = (0, 1, 3)
    print(
        f"{os.cpu_count()} cores\n\n| looks before sleeping | idle | "
        + " | ".join(f"{n} busy" for n in others[1:])
        + " |"
    )
    print("|---" * (len(others) + 1) + "|")
    for name in LOOKS:
        cells = []
        for number in others:
            with busy_programs(number):
                taken = [measure(name, arguments.steps) for _ in range(arguments.repeats)]
            cells.append(f"{statistics.median(taken):.0f} ({min(taken):.0f} to {max(taken):.0f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
