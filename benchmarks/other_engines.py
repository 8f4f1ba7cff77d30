"""Other ways to compute the networks sooner: ONNX Runtime, int8 weights, torch.compile.

    OMP_NUM_THREADS=1 python benchmarks/other_engines.py [--repeats 15] [--only step|training]

Policies of state at the published sizes, one thread, medians of calls in turn, in CPU time (compilers' too).
"step" is one denoising step of one trajectory. Its errors are against the plain modules in
float32, as a share of the largest entry of the prediction; weights are fresh, so that they compare the
arithmetic and say nothing about successes. "training" is a forward and a backward pass of 64 windows with the
denoiser compiled as `training.compile: inductor` does.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from interleaved import measure
from onnxruntime.quantization import QuantType, quantize_dynamic
from plain import plain_denoiser
from torch import Tensor, nn

from ddpm_edu.cpu import accelerate_training
from ddpm_edu.cpu.sampling import prepare_sampling
from ddpm_edu.factory import build_policy, make_policy
from ddpm_edu.presets import preset
from ddpm_edu.training.export import export_onnx


def session(path: Path) -> onnxruntime.InferenceSession:
    """On one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def table(title: str, ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Milliseconds of CPU time by way: their median; printed with the least and the greatest."""
    medians = {}
    for name, values in measure(ways, repeats).items():
        cpu = sorted(1e3 * value[1] for value in values)
        medians[name] = statistics.median(cpu)
        print(f"{title} | {name} | {medians[name]:.1f} ({cpu[0]:.1f} to {cpu[-1]:.1f}) ms", flush=True)
    return medians


@torch.no_grad()
def step(denoiser: str, repeats: int, folder: Path) -> None:
    """One denoising step of one trajectory by each engine, with errors and sizes."""
    torch.manual_seed(0)
    policy = make_policy("can", denoiser, preset="paper").eval()
    plain, t = plain_denoiser(policy.denoiser), torch.tensor(50)
    features = torch.randn(1, policy.n_obs_steps, 23)  # (B, To, Do)
    inputs = policy.conditioning.for_sampling(features).denoiser_inputs
    trajectory = torch.randn(1, policy.horizon, 7)  # (B, T, Da)
    policy.noise_scheduler.set_timesteps(100)
    ours = prepare_sampling(policy.denoiser, policy.noise_scheduler, **inputs)
    linear = torch.ao.quantization.quantize_dynamic(copy.deepcopy(plain), {nn.Linear}, torch.qint8)

    exact, int8 = folder / f"{denoiser}.onnx", folder / f"{denoiser}.int8.onnx"
    export_onnx(policy, exact)
    quantize_dynamic(exact, int8, weight_type=QuantType.QInt8)

    def runtime(path: Path) -> Callable[[], Tensor]:
        engine = session(path)
        kinds = {
            given.name: np.float32 if "float" in given.type else np.int64 for given in engine.get_inputs()
        }
        given = {"trajectory": trajectory, "timestep": t[None], **inputs}
        arrays = {name: given[name].numpy().astype(kind) for name, kind in kinds.items()}
        return lambda: torch.from_numpy(engine.run(None, arrays)[0])

    ways: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: plain(trajectory, t, **inputs),
        "default": lambda: ours(trajectory, t),
        "ONNX Runtime": runtime(exact),
        "PyTorch, linear layers int8": lambda: linear(trajectory, t, **inputs),
    }
    try:
        ways["ONNX Runtime, int8"] = runtime(int8)
    except Exception as error:  # an operator that this version has not: that is a result too
        print(
            f"{denoiser}, step | ONNX Runtime, int8 | does not load: {str(error).splitlines()[0]}", flush=True
        )
    expected = ways["plain"]()
    for name, way in ways.items():
        error = float((way() - expected).abs().max() / expected.abs().max())
        print(f"{denoiser}, step | {name} | error {error:.1e}", flush=True)
    print(
        f"{denoiser}, step | files | {exact.stat().st_size / 1e6:.0f} and {int8.stat().st_size / 1e6:.0f} MB"
    )
    table(f"{denoiser}, step", ways, repeats)


def training(denoiser: str, repeats: int) -> None:
    """A forward and a backward pass: plain modules, compiled, and the default."""
    torch.manual_seed(0)
    plain = build_policy(preset("can", denoiser, name="paper").policy).train()
    compiled, ours = copy.deepcopy(plain), copy.deepcopy(plain)
    compiled.denoiser.compile(backend="inductor")
    accelerate_training(ours)
    B = 64
    features = torch.randn(B, plain.n_obs_steps, 23)  # (B, To, Do)
    action, timesteps = torch.rand(B, plain.horizon, 7) * 2 - 1, torch.randint(0, 100, (B,))
    inputs = plain.conditioning.for_training(features, action).denoiser_inputs

    def way(policy: nn.Module) -> Callable[[], None]:
        def run() -> None:
            policy.denoiser.zero_grad()
            policy.denoiser(action, timesteps, **inputs).square().mean().backward()

        return run

    ways = {
        name: way(policy) for name, policy in (("plain", plain), ("compiled", compiled), ("default", ours))
    }
    cpu, wall = sum(os.times()[:4]), time.perf_counter()
    ways["compiled"]()
    cpu, wall = sum(os.times()[:4]) - cpu, time.perf_counter() - wall
    print(
        f"{denoiser}, training | compiling | {cpu:.0f} s of CPU time, {wall:.0f} s by the clock", flush=True
    )
    table(f"{denoiser}, training", ways, repeats)


def main() -> None:
    """Print what each way takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", choices=("step", "training"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # compilers are children, whose time counts
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer's advice
    print(f"load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
    for denoiser in ("unet", "transformer"):
        if arguments.only != "training":
            with tempfile.TemporaryDirectory() as folder:
                step(denoiser, arguments.repeats, Path(folder))
    for denoiser in ("unet", "transformer"):
        if arguments.only != "step":
            with tempfile.TemporaryDirectory() as folder:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # nothing is compiled already
                training(denoiser, max(3, arguments.repeats // 3))


if __name__ == "__main__":
    main()
