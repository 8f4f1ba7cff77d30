"""`ddpm-edu export`: a policy for programs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional


def export(checkpoint: Positional[Path], out: Path, weights: Literal["ema", "trained"] = "ema") -> None:
    """Write a policy's denoiser as an ONNX file, for policies that see the simulator's state.

    What surrounds the denoiser (normalisation, given entries, noise levels) stands in the file's metadata, as
    JSON under the key "ddpm_edu".

    Args:
        checkpoint: a run's folder, of which the newest checkpoint is taken, or one checkpoint's.
        out: the file to write, such as policy.onnx.
        weights: the moving average, or the weights as trained.
    """
    from ddpm_edu.training.checkpoint import load_policy
    from ddpm_edu.training.export import describe, export_onnx

    policy = load_policy(checkpoint, weights=weights)
    path = export_onnx(policy, out)
    steps, entries = describe(policy)["trajectory"]
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB; one denoising step of trajectories "
        f"(B, {steps}, {entries}) for {policy.config.task}, the rest in its metadata"
    )
