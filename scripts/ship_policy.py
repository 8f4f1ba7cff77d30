"""Puts a trained policy into data/policies: averaged weights only, as 16-bit floats, with what made it.

    .venv/bin/python scripts/ship_policy.py runs/demo-can can_unet

Half the size of 32-bit floats; `load_policy` computes in 32 bits again. How far the actions move is printed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.windows import Windows
from ddpm_edu.paths import DATA, shipped_demonstrations
from ddpm_edu.settings import override
from ddpm_edu.training.checkpoint import load_policy, read_checkpoint, write_policy


def halve(name: str, value: torch.Tensor) -> torch.Tensor:
    """16-bit floats for the networks. The normalizer keeps its 32 bits: its limits decide what is clipped.

    So do the units of an encoder that tells poses: at a metre a 16-bit float is half a millimetre off.
    """
    if value.dtype != torch.float32 or name.startswith("normalizer") or name.endswith(".units"):
        return value
    return value.half()


def main() -> int:
    """Ships one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run's folder, or one of its checkpoints")
    parser.add_argument("name", help="the folder in data/policies")
    parser.add_argument("--n-action-steps", type=int, help="Ta to ship it with, if not that of its training")
    arguments = parser.parse_args()
    target = DATA / "policies" / arguments.name
    checkpoint = read_checkpoint(arguments.run, training=False)
    config = checkpoint.config
    if config.data.path:
        # Where the file lay on this machine helps nobody: the card's commands make it anew, in one place.
        config = override(config, data__path=f"runs/demonstrations/{Path(config.data.path).name}")
    if arguments.n_action_steps:
        load_policy(arguments.run).with_settings(n_action_steps=arguments.n_action_steps)  # it may refuse
        config = override(config, n_action_steps=arguments.n_action_steps)
    shipped = replace(
        checkpoint,
        config=config,
        ema={name: halve(name, value).contiguous() for name, value in checkpoint.ema.items()},
    )
    write_policy(target, shipped)

    before, after = load_policy(arguments.run), load_policy(target)
    task, observation = checkpoint.config.policy.task, checkpoint.config.policy.observation
    demonstrations = Demonstrations.read(shipped_demonstrations(task, observation), task, observation)
    windows = Windows(demonstrations, before.horizon, before.n_obs_steps, before.n_action_steps)
    observations = windows.batch(torch.arange(0, len(windows), len(windows) // 64))["obs"]
    actions = [
        policy.predict_action(observations, generator=torch.Generator().manual_seed(0))["action_pred"]
        for policy in (before, after)
    ]
    size = (target / "ema.safetensors").stat().st_size / 1e6
    moved = (actions[0] - actions[1]).abs()
    print(
        f"{target}: {size:.1f} MB; actions move by {moved.median():.1e} (median), at most {moved.max():.1e}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
