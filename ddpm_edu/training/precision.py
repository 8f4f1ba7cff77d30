"""In which arithmetic to train: bf16 where this machine computes it faster, float32 everywhere else.

Half as many bits are not half the time. A processor with bf16 instructions trains an image encoder 1.8 times
as fast; one without computes every product by a detour, 11 times slower. So the machine is asked, not the
manual.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from torch import Tensor, nn

from ddpm_edu.config import Config
from ddpm_edu.errors import ConfigError
from ddpm_edu.training.checkpoint import list_checkpoints, read_checkpoint

MARGIN = 1.1
"""How many times faster bf16 must be to be worth its rounding."""


def with_precision(config: Config, run_dir: str | Path) -> tuple[Config, str]:
    """The configuration with "auto" decided, and words about what was measured ("" if nothing was).

    A run that exists keeps what it began with, on whatever machine it goes on. A policy of state stays in
    float32: its networks are too small to gain.

    Args:
        config: of the run.
        run_dir: the run's folder.

    Raises:
        ConfigError: for fp16 on a CPU, which has no arithmetic for it.
    """
    asked, line = config.training.mixed_precision, ""
    # As Accelerator will ask for it: asked otherwise, two processes on a CPU would each believe to be alone.
    device = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).device.type
    if asked == "fp16" and device == "cpu":
        raise ConfigError(
            "training.mixed_precision is 'fp16', which needs a GPU, and this training is on the CPU; "
            "take 'auto', 'bf16' or 'no'"
        )
    if asked != "auto":
        return config, line
    if list_checkpoints(Path(run_dir) / "checkpoints"):
        decided = read_checkpoint(run_dir, training=False).config.training.mixed_precision
    elif config.policy.observation == "low_dim":
        decided = "no"
    else:
        # Several processes must agree, whatever each would have measured.
        ratio = broadcast_object_list([speed_of_bf16(device)])[0]
        decided = "bf16" if ratio > MARGIN else "no"
        line = f" in {_TITLES[decided]} (bf16 is {ratio:.2g} times as fast as float32 here)"
    return replace(config, training=replace(config.training, mixed_precision=decided)), line


_TITLES = {"bf16": "bf16", "no": "float32"}


def speed_of_bf16(device: str = "cpu") -> float:
    """How many times as fast as float32 bf16 trains a small convolution and a matrix product."""
    if device == "cuda" and not torch.cuda.is_bf16_supported():
        return 0.0
    with torch.random.fork_rng(devices=[]):  # what a run draws must not depend on having measured
        convolution = nn.Conv2d(32, 32, 3, padding=1, device=device)
        linear = nn.Linear(512, 512, device=device)
        images = torch.randn(8, 32, 21, 21, device=device)
        tokens = torch.randn(256, 512, device=device)
    seconds = {dtype: float("inf") for dtype in (torch.float32, torch.bfloat16)}
    # In turn, and the best of each: another program on the machine must not decide.
    for _ in range(5):
        for dtype in seconds:
            spent = _time(dtype, device, ((convolution, images), (linear, tokens)))
            seconds[dtype] = min(seconds[dtype], spent)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _time(dtype: torch.dtype, device: str, work: tuple[tuple[nn.Module, Tensor], ...]) -> float:
    _wait(device)
    started = time.perf_counter()
    for _ in range(2):
        for module, inputs in work:
            with torch.autocast(device, dtype, enabled=dtype == torch.bfloat16):
                loss = module(inputs).float().square().mean()
            loss.backward()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
