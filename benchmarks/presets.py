"""The table of presets in docs/policies.md: parameters, memory, seconds per training step on this machine.

python benchmarks/presets.py                 print the table
python benchmarks/presets.py --write         put it into docs/policies.md, between its markers
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import time
from pathlib import Path

import torch

from ddpm_edu.config import Config
from ddpm_edu.factory import build_policy
from ddpm_edu.policy import DiffusionPolicy
from ddpm_edu.presets import PRESETS, preset
from ddpm_edu.tasks import get_task
from ddpm_edu.training.ema import make_ema
from ddpm_edu.training.optimizer import make_optimizer

PAGE = Path(__file__).resolve().parent.parent / "docs" / "policies.md"
BEGIN, END = "<!-- presets: begin -->", "<!-- presets: end -->"
PART = {"low_dim": 64, "image": 8}
"""Samples in one forward and backward pass; larger batches are accumulated from such parts."""


def make_batch(policy: DiffusionPolicy, B: int) -> dict[str, torch.Tensor | dict[str, torch.Tensor]]:
    """Random numbers of a training batch's shapes; what they are does not change the time."""
    config, steps = policy.config, policy.conditioning.training_obs_steps
    obs = {
        key.name: torch.randint(0, 256, (B, steps, *key.shape), dtype=torch.uint8)
        if key.type == "rgb"
        else torch.rand(B, steps, *key.shape)
        for key in get_task(config.task).observation(config.observation)
    }
    return {"obs": obs, "action": torch.rand(B, config.horizon, config.action_dim) * 2 - 1}


def seconds_per_step(policy: DiffusionPolicy, config: Config, repeats: int) -> tuple[float, float]:
    """Median and spread (half of highest minus lowest) of whole optimiser steps, EMA included."""
    batch_size = config.training.batch_size
    part = min(PART[config.policy.observation], batch_size)
    optimizer, ema = make_optimizer(policy, config.training), make_ema(policy, config.training)
    batch, seconds = make_batch(policy, part), []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        for _ in range(batch_size // part):
            policy.compute_loss(batch, noise_draws=config.training.noise_draws).backward()
        optimizer.step()
        optimizer.zero_grad()
        ema.update_parameters(policy)
        seconds.append(time.perf_counter() - start)
    seconds = seconds[1:]  # the first one allocates
    return statistics.median(seconds), (max(seconds) - min(seconds)) / 2


def row(task: str, name: str, denoiser: str, observation: str, repeats: int) -> str:
    """One line of the table."""
    config = preset(task, denoiser, "global", observation, name)
    policy = build_policy(config.policy)
    trainable = sum(parameter.numel() for parameter in policy.parameters() if parameter.requires_grad)
    # Weights, gradients, two moments of AdamW, and the moving average: five float32 numbers a parameter.
    megabytes = 5 * 4 * trainable / 1e6
    median, spread = seconds_per_step(policy, config, repeats)
    training = config.training
    return (
        f"| {name} | {denoiser} | {observation} | {config.policy.horizon} / {config.policy.n_obs_steps} / "
        f"{config.policy.n_action_steps} | {trainable:,} | {megabytes:,.0f} MB | {training.batch_size} | "
        f"{training.steps:,} | {median:.2f} ± {spread:.2f} s |"
    )


def table(repeats: int) -> str:
    """The whole table. Can and Square differ in nothing that it shows."""
    lines = [
        "| preset | denoiser | observation | T / To / Ta | parameters | memory | batch | steps | one step |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, denoiser, observation in itertools.product(
        PRESETS, ("unet", "transformer"), ("low_dim", "image")
    ):
        lines.append(row("can", name, denoiser, observation, repeats))
        print(lines[-1], flush=True)
    lines.append("")
    lines.append(
        f"Made by `python benchmarks/presets.py --write` on {torch.get_num_threads()} threads of a "
        f"{platform.machine()} CPU, torch {torch.__version__}, float32: median of {repeats} steps ± half the "
        "range. Memory is that of weights, gradients, optimiser and moving average; activations come on top."
    )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/policies.md")
    parser.add_argument("--repeats", type=int, default=3, help="steps that are timed")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    content = table(arguments.repeats)
    if arguments.write:
        text = PAGE.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
        PAGE.write_text(f"{before}{BEGIN}\n{content}\n{END}{after}", encoding="utf-8")
    else:
        print("\n" + content)


if __name__ == "__main__":
    main()
