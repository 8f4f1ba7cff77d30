"""`ddpm-edu import`: a checkpoint of the reference implementation becomes one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional


def import_reference(
    file: Positional[Path], out: Path, weights: Literal["auto", "ema", "trained"] = "auto"
) -> None:
    """Convert a checkpoint of the reference implementation (real-stanford/diffusion_policy).

    The file is a pickle. It is read as data: nothing in it is run.

    Args:
        file: what the reference saved, such as latest.ckpt.
        out: the folder to write; it must not exist.
        weights: the moving average of the weights (ema), the weights as trained, or the average where there
            is one (auto).
    """
    from ddpm_edu.commands.next_step import say_how_it_acts
    from ddpm_edu.reference.importer import import_checkpoint

    imported = import_checkpoint(file, out, None if weights == "auto" else weights)
    policy = imported.settings.policy
    entries = sum(value.numel() for value in imported.state.values())
    print(
        f"imported {file} ({imported.weights} weights, step {imported.step}) to {out}: {policy.task}, "
        f"{policy.observation}, {policy.denoiser.name}, {policy.conditioning}, {policy.action} actions, "
        f"{entries:,} numbers"
    )
    for note in imported.settings.notes:
        print(f"note: {note}")
    say_how_it_acts(out)
