"""The whole table of speed on this machine: our work beside a plain transcription of the project's outline.

    OMP_NUM_THREADS=1 python benchmarks/speed.py [--repeats 5] [--only sampling] [--json FILE]

Every line is measured in pairs, one after the other, by the process's CPU time, so that other load on the
machine meets both alike; the ratio is the median over pairs, with its range. Each side is a process of its
own: ours changes how the C library keeps memory, and the plain side has it as it comes. "default" is what a
user gets who asks for nothing. FLOPs are counted by PyTorch on the plain side; bytes are the weights, which
each denoising step reads once. Beside them stands their share of what this machine reaches in a product of
matrices (1024 x 1024) and in reading 256 MiB, measured in the same run.

Sizes are the published ones; training steps include the gradient, AdamW and the moving average. The UNet for
cameras samples from features: its encoder, once for each decision, is the same on both sides and left out.
In training it is part of the step, on both sides robomimic's network; ours begins with uint8 pictures, the
plain one with floats. Training from cameras takes bf16 where `mixed_precision` "auto" would; a line beside it
is float32.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
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
from ddpm_edu.training.precision import MARGIN, speed_of_bf16

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


Way = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Work:
    """Two ways to do the same; only the one that is called in a process is prepared there.

    Attributes:
        name: for the table.
        plain: prepares the plain transcription.
        ours: prepares what a user gets.
        reads: bytes of weights that it reads.
        same: how much of the largest entry both results may differ by; None where they cannot be compared.
    """

    name: str
    plain: Callable[[], Way]
    ours: Callable[[], Way]
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
    process = policy.noise_scheduler
    conditioned = policy.denoiser.global_cond_dim // policy.n_obs_steps if denoiser == "unet" else 23
    conditions = policy.conditioning.for_sampling(torch.randn(B, policy.n_obs_steps, conditioned))
    data, inputs = conditions.condition_data, conditions.denoiser_inputs

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    def plain() -> Way:
        model = plain_denoiser(policy.denoiser).requires_grad_(False)
        return lambda: plain_sample(model, process, data, steps, generator(), **inputs)

    return Work(
        f"{denoiser}, {observation}, sampling {B}, {scheduler.upper()}-{steps}",
        plain,
        lambda: lambda: policy.conditional_sample(data, generator=generator(), **inputs),
        steps * weights(policy.denoiser),
    )


def training(denoiser: str, observation: str, B: int, precision: str = "auto", **sizes: object) -> Work:
    """One optimiser step, as `Trainer` takes it."""
    torch.manual_seed(0)
    config = preset("can", denoiser, name="paper", observation=observation, **sizes)
    policy, settings = build_policy(config.policy).train(), config.training
    pictures = observation == "image"
    obs = {}
    for key in CAN.observation(observation):
        shape = (B, policy.n_obs_steps, *key.shape)
        random = torch.randint(0, 256, shape, dtype=torch.uint8) if key.type == "rgb" else torch.randn(shape)
        obs[key.name] = random
    action = torch.rand(B, policy.horizon, 7) * 2 - 1  # (B, T, Da)
    noise, timesteps = torch.randn_like(action), torch.randint(0, 100, (B,))

    def plain() -> Way:
        model, encoder = plain_denoiser(policy.denoiser), copy.deepcopy(policy.obs_encoder)
        parts, name = nn.ModuleList([model, encoder]), "global_cond" if denoiser == "unet" else "cond"
        optimizer = torch.optim.AdamW(
            parts.parameters(), settings.learning_rate, settings.betas, weight_decay=settings.weight_decay
        )
        update = plain_average(copy.deepcopy(parts), parts)
        floats = {key: v / 255 if v.dtype == torch.uint8 else v for key, v in obs.items()}

        def step() -> torch.Tensor:
            flat = {key: v.flatten(0, 1) for key, v in floats.items()}
            flat = {key: 2 * v - 1 if v.ndim == 4 else v for key, v in flat.items()}
            features = encoder(flat).unflatten(0, (B, -1))  # (B, To, Do)
            condition = {name: features.flatten(1) if denoiser == "unet" else features}
            loss = plain_loss(model, policy.noise_scheduler, action, noise, timesteps, **condition)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            update(0.999)
            return loss.detach()

        return step

    def ours() -> Way:
        accelerate_training(policy)
        optimizer, average = make_optimizer(policy, settings), make_ema(policy, settings)
        bf16 = pictures and precision == "auto" and speed_of_bf16() > MARGIN
        batch = {"obs": obs, "action": action}

        def step() -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = policy(batch, noise=noise, timesteps=timesteps)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            average.update_parameters(policy)
            return loss.detach()

        return step

    # dropout and crops are drawn otherwise on both sides: tests compare, here only the time
    name = f"{denoiser}, {observation}, training step, {B}" + (", float32" if precision == "no" else "")
    return Work(name, plain, ours, weights(policy), None)


def batches(observation: str, B: int, count: int) -> Work:
    """So many batches of windows, pictures ending as normalised floats."""
    demonstrations = make_demonstrations(observation)
    windows = Windows(demonstrations, HORIZON, N_OBS_STEPS, N_ACTION_STEPS)

    def take(source: Iterator[dict]) -> torch.Tensor:
        for _ in range(count):
            batch = next(source)
        return batch["action"]

    def plain() -> Way:
        source = plain_batches(PlainWindows(demonstrations), B, 0)
        return lambda: take(source)

    def ours() -> Way:
        source = our_batches(windows, B)
        if observation == "image":
            source = normalised(source, Normalizer.from_spec(CAN, observation).fit(demonstrations))
        return lambda: take(source)

    return Work(f"{observation}, {count} batches of {B}", plain, ours, 0, None)


SMALL = {"down_dims": (256, 512, 1024)}
"""The UNet for cameras, without its published width."""

WORKS: dict[str, Callable[[], Work]] = {
    "batches of states": lambda: batches("low_dim", 64, 50),
    "batches of pictures": lambda: batches("image", 64, 2),
    "training unet": lambda: training("unet", "low_dim", 64),
    "training transformer": lambda: training("transformer", "low_dim", 64),
    "training cameras": lambda: training("unet", "image", 8, **SMALL),
    "training cameras float32": lambda: training("unet", "image", 8, "no", **SMALL),
    "sampling unet": lambda: sampling("unet", "low_dim", "ddim", 16, 1),
    "sampling cameras": lambda: sampling("unet", "image", "ddpm", 10, 1),
    "sampling transformer": lambda: sampling("transformer", "low_dim", "ddpm", 100, 1),
    "sampling transformer 28": lambda: sampling("transformer", "low_dim", "ddpm", 20, 28),
}


def weights(module: nn.Module) -> int:
    """Bytes of a module's parameters."""
    return sum(parameter.nbytes for parameter in module.parameters())


def serve(pipe: Connection, key: str, side: str, threads: int) -> None:
    """One side in a process of its own: says what it is and finds, then answers each call with CPU seconds.

    The first calls are not timed: one counts, the next finds the memory as all later ones will.
    """
    torch.set_num_threads(threads)
    work = WORKS[key]()
    way = getattr(work, side)()
    counter = FlopCounterMode(display=False)
    with counter if side == "plain" else contextlib.nullcontext():
        result = way()
    way()
    pipe.send((work.name, work.reads, work.same, counter.get_total_flops(), result.numpy()))
    with contextlib.suppress(EOFError):
        while pipe.recv():
            pipe.send(cpu_seconds(way))


def measure(key: str, repeats: int, threads: int) -> Line:
    """One line of the table."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for side in ("plain", "ours"):
        pipe, other = context.Pipe()
        context.Process(target=serve, args=(other, key, side, threads), daemon=True).start()
        other.close()
        pipes.append(pipe)
    (name, reads, same, flops, expected), (*_, found) = (pipe.recv() for pipe in pipes)
    if same is not None:
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        if difference > same:
            raise SystemExit(f"{name}: both ways differ by {difference:.1e} of the largest entry")

    def ask(pipe: Connection) -> float:
        pipe.send(True)
        return pipe.recv()

    pairs = [[ask(pipe) for pipe in pipes] for _ in range(repeats)]
    for pipe in pipes:
        pipe.close()
    ratios = [plain / ours for plain, ours in pairs]
    plain, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(ratios)
    return Line(name, plain, ours, ratio, min(ratios), max(ratios), flops / 1e9, reads / 1e9)


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
        lines.append(line := measure(key, arguments.repeats, arguments.threads))
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
