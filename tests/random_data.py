"""Small random batches and demonstrations of the tasks, for the tests of several rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ddpm_edu.tasks import get_task


def make_batch(policy, B=4, seed=0):
    """A random training batch that fits a policy."""
    generator = torch.Generator().manual_seed(seed)
    steps = policy.conditioning.training_obs_steps
    obs = make_observation(policy, B, steps, generator)
    action = torch.rand(B, policy.horizon, policy.action_dim, generator=generator) * 2 - 1  # (B, T, Da)
    is_pad = torch.zeros(B, policy.horizon, dtype=torch.bool)
    is_pad[0, -2:] = True
    return {"obs": obs, "action": action, "is_pad": is_pad}


def make_observation(policy, B, steps, generator):
    """Random observations {key: (B, steps, ...)}."""
    keys = get_task(policy.config.task).observation(policy.config.observation)
    return {
        key.name: torch.randint(0, 256, (B, steps, *key.shape), dtype=torch.uint8, generator=generator)
        if key.type == "rgb"
        else torch.rand(B, steps, *key.shape, generator=generator) * 2 - 1
        for key in keys
    }


def make_demonstrations(lengths=(20, 33, 17), seed=0):
    """Random low-dim demonstrations of Can."""
    from ddpm_edu.data.demonstrations import Demonstrations

    task, random, N = get_task("can"), np.random.default_rng(seed), sum(lengths)
    obs = {key.name: random.uniform(-1, 1, (N, *key.shape)).astype(np.float32) for key in task.low_dim}
    return Demonstrations(
        task=task,
        observation="low_dim",
        obs=obs,
        action=random.uniform(-1, 1, (N, task.action_dim)).astype(np.float32),
        episode_ends=np.cumsum(lengths).astype(np.int64),
        names=[f"demo_{index}" for index in range(len(lengths))],
        path=Path("random.hdf5"),
    )
