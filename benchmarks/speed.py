"""The whole table of speed on this machine: our work beside a plain transcription of the seed document.

    OMP_NUM_THREADS=1 python benchmarks/speed.py [--repeats 5] [--only sampling] [--json FILE]

Every line is measured in pairs, one after the other, by the process's CPU time, so that other load on the
machine meets both alike; the ratio is the median over pairs, with its range. "default" is what a user
gets who asks for nothing. FLOPs are counted by PyTorch on the plain side; bytes are the weights, which each
denoising step reads once. Beside them stands their share of what this machine reaches in a product of
matrices (1024 x 1024) and in reading 256 MiB, measured in the same run.

Sizes are the published ones; training steps include the gradient, AdamW and the moving average. The UNet for
cameras samples from features: its encoder, once for each decision, is the same on both sides and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from data_pipeline import (
    HORIZON,
    N_ACTION_STEPS,
    N_OBS_STEPS,
    PlainWindows,
    make_demonstrations,
    normalised,
    our_batches,
    plain_batches,
)
from plain import plain_average, plain_denoiser, plain_loss, plain_sample
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ddpm_edu.cpu import accelerate_training
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.data.windows import Windows
from ddpm_edu.factory import build_policy, make_policy
from ddpm_edu.files import write_atomically
from ddpm_edu.machine import processor
from ddpm_edu.presets import preset
from ddpm_edu.tasks import CAN
from ddpm_edu.training.ema import make_ema
from ddpm_edu.training.optimizer import make_optimizer

INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")


@dataclass(frozen=True)
class Line:
    """One line of the table: CPU seconds, and what the plain side computes and reads."""

    work: str
    plain: float
    ours: float
    ratio: float
    least: float
    greatest: float
    gflop: float
    gigabytes: float


@dataclass(frozen=True)
class Work:
    """Two ways to do the same.

    Attributes:
        name: for the table.
        plain: the plain transcription.
        ours: what a user gets.
        reads: bytes of weights that it reads.
        same: how much of the largest entry both results may differ by; None where they cannot be compared.
    """

    name: str
    plain: Callable[[], torch.Tensor]
    ours: Callable[[], torch.Tensor]
    reads: int
    same: float | None = 1e-3


def cpu_seconds(function: Callable[[], object]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


def peak() -> tuple[float, float]:
    """GFLOP/s of a product of matrices, GB/s of a sum: the best of seven."""
    a, b, long = torch.randn(1024, 1024), torch.randn(1024, 1024), torch.randn(2**26)
    flops = 2 * 1024**3 / min(cpu_seconds(lambda: torch.mm(a, b)) for _ in range(7))
    return flops / 1e9, 4 * len(long) / min(cpu_seconds(long.sum) for _ in range(7)) / 1e9


def sampling(denoiser: str, observation: str, scheduler: str, steps: int, B: int) -> Work:
    """One call of `conditional_sample`, left to itself."""
    torch.manual_seed(0)
    policy = make_policy(
        "can",
        denoiser,
        preset="paper",
        observation=observation,
        scheduler=scheduler,
        num_inference_steps=steps,
    ).eval()
    plain, process = plain_denoiser(policy.denoiser).requires_grad_(False), policy.noise_scheduler
    conditioned = policy.denoiser.global_cond_dim // policy.n_obs_steps if denoiser == "unet" else 23
    conditions = policy.conditioning.for_sampling(torch.randn(B, policy.n_obs_steps, conditioned))
    data, inputs = conditions.condition_data, conditions.denoiser_inputs

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    return Work(
        f"{denoiser}, {observation}, sampling {B}, {scheduler.upper()}-{steps}",
        lambda: plain_sample(plain, process, data, steps, generator(), **inputs),
        lambda: policy.conditional_sample(data, generator=generator(), **inputs),
        steps * weights(policy.denoiser),
    )


def training(denoiser: str, B: int) -> Work:
    """One optimiser step on states, as `Trainer` takes it."""
    torch.manual_seed(0)
    config = preset("can", denoiser, name="paper")
    policy = build_policy(config.policy).train()
    plain = plain_denoiser(policy.denoiser)
    accelerate_training(policy)
    features, action = torch.randn(B, policy.n_obs_steps, 23), torch.rand(B, policy.horizon, 7) * 2 - 1
    inputs = policy.conditioning.for_training(features, action).denoiser_inputs
    noise, timesteps, scheduler = (
        torch.randn_like(action),
        torch.randint(0, 100, (B,)),
        policy.noise_scheduler,
    )
    optimizer, average = make_optimizer(policy, config.training), make_ema(policy, config.training)
    settings = config.training
    plain_optimizer = torch.optim.AdamW(
        plain.parameters(), settings.learning_rate, settings.betas, weight_decay=settings.weight_decay
    )
    update = plain_average(copy.deepcopy(plain), plain)

    def ours() -> torch.Tensor:
        prediction = policy.denoiser(scheduler.add_noise(action, noise, timesteps), timesteps, **inputs)
        loss = (prediction - noise).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(policy)
        return loss.detach()

    def plainly() -> torch.Tensor:
        loss = plain_loss(plain, scheduler, action, noise, timesteps, **inputs)
        loss.backward()
        plain_optimizer.step()
        plain_optimizer.zero_grad()
        update(0.999)
        return loss.detach()

    # dropout draws other masks on both sides: tests compare, here only the time
    return Work(f"{denoiser}, low_dim, training step, {B}", plainly, ours, weights(plain), None)


def batches(observation: str, B: int, count: int) -> Work:
    """So many batches of windows, pictures ending as normalised floats."""
    demonstrations = make_demonstrations(observation)
    windows = Windows(demonstrations, HORIZON, N_OBS_STEPS, N_ACTION_STEPS)
    plain, ours = plain_batches(PlainWindows(demonstrations), B, 0), our_batches(windows, B)
    if observation == "image":
        ours = normalised(ours, Normalizer.from_spec(CAN, observation).fit(demonstrations))

    def take(source: Iterator[dict]) -> torch.Tensor:
        for _ in range(count):
            batch = next(source)
        return batch["action"]

    return Work(f"{observation}, {count} batches of {B}", lambda: take(plain), lambda: take(ours), 0, None)


WORKS: dict[str, Callable[[], Work]] = {
    "batches of states": lambda: batches("low_dim", 64, 50),
    "batches of pictures": lambda: batches("image", 64, 2),
    "training unet": lambda: training("unet", 64),
    "training transformer": lambda: training("transformer", 64),
    "sampling unet": lambda: sampling("unet", "low_dim", "ddim", 16, 1),
    "sampling cameras": lambda: sampling("unet", "image", "ddpm", 10, 1),
    "sampling transformer": lambda: sampling("transformer", "low_dim", "ddpm", 100, 1),
    "sampling transformer 28": lambda: sampling("transformer", "low_dim", "ddpm", 20, 28),
}


def weights(module: nn.Module) -> int:
    """Bytes of a module's parameters."""
    return sum(parameter.nbytes for parameter in module.parameters())


def measure(work: Work, repeats: int) -> Line:
    """One line; the first pair, which also compares and counts, is not timed."""
    with FlopCounterMode(display=False) as counter:
        expected = work.plain()
    found = work.ours()
    if work.same is not None:
        difference = float((found - expected).abs().max() / expected.abs().max())
        if difference > work.same:
            raise SystemExit(f"{work.name}: both ways differ by {difference:.1e} of the largest entry")
    pairs = [(cpu_seconds(work.plain), cpu_seconds(work.ours)) for _ in range(repeats)]
    ratios = [plain / ours for plain, ours in pairs]
    plain, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(ratios)
    gflop = counter.get_total_flops() / 1e9
    return Line(work.name, plain, ours, ratio, min(ratios), max(ratios), gflop, work.reads / 1e9)


def machine() -> str:
    """The processor, what it can, and what else it does."""
    flags = ""
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
    able = [name for name in INSTRUCTIONS if name in flags.split()]
    return (
        f"{processor()} ({' '.join(able) or platform.machine()}), {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, {torch.get_num_threads()} thread(s), Python {platform.python_version()}, "
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="lines whose key has this word: " + ", ".join(WORKS))
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    about, (gflops, bandwidth) = machine(), peak()
    print(f"{about}\nof one core: {gflops:.0f} GFLOP/s in matrix products, {bandwidth:.1f} GB/s\n")
    print("| work | plain, CPU s | default, CPU s | ratio (range) | GFLOP | share of peak | GB | share |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    lines = []
    for key in (key for key in WORKS if arguments.only in key):
        lines.append(line := measure(WORKS[key](), arguments.repeats))
        gc.collect()
        print(
            f"| {line.work} | {line.plain:.3f} | {line.ours:.3f} | {line.ratio:.2f}x ({line.least:.2f} to "
            f"{line.greatest:.2f}) | {line.gflop:.1f} | {line.gflop / line.ours / gflops:.0%} | "
            f"{line.gigabytes:.2f} | {line.gigabytes / line.ours / bandwidth:.0%} |",
            flush=True,
        )
    if arguments.json:
        found = {"machine": about, "gflops": gflops, "gigabytes_per_second": bandwidth}
        with write_atomically(arguments.json) as file:
            file.write(
                json.dumps({**found, "lines": [asdict(line) for line in lines]}, indent=1).encode() + b"\n"
            )


if __name__ == "__main__":
    main()
