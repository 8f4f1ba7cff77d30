"""What held-out demonstrations say about the averaged weights, with the same noise at every call.

In evaluation mode: dropout or random crops would measure something that never acts. The generators are its
own, so that looking does not change what is learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ddpm_edu.data.windows import Windows
from ddpm_edu.policy import DiffusionPolicy


def to_device(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch of windows on a device."""
    return {
        key: to_device(value, device) if isinstance(value, Mapping) else value.to(device, non_blocking=True)
        for key, value in batch.items()
    }


@torch.no_grad()
def validation_loss(
    policy: DiffusionPolicy, windows: Windows, batch_size: int, max_windows: int = 1024
) -> float:
    """The denoising loss."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.Generator(policy.device).manual_seed(0)  # what inpainting hides at random
    indices = torch.randperm(len(windows), generator=generator)[:max_windows]
    policy.eval()
    total = 0.0
    for rows in indices.split(batch_size):
        noise, timesteps = policy.process.draw(policy.trajectory_shape(len(rows)), generator)
        loss = policy.compute_loss(
            to_device(windows.batch(rows), policy.device),
            noise=noise.to(policy.device),
            timesteps=timesteps.to(policy.device),
            generator=masks,
        )
        total += float(loss) * len(rows)
    return total / len(indices)


@torch.no_grad()
def validation_action_error(
    policy: DiffusionPolicy, windows: Windows, batch_size: int, max_windows: int = 128
) -> float:
    """The root mean square of predicted minus demonstrated actions, in the normaliser's units.

    Sampled as the policy acts, over the Ta steps that it would execute. Unlike the loss it is about what
    comes out at the end; like the loss it calls another good way of doing the task an error.
    """
    generator = torch.Generator().manual_seed(0)
    indices = torch.randperm(len(windows), generator=generator)[:max_windows]
    To = policy.n_obs_steps
    normalizer = policy.normalizer["action"]
    squares, count = 0.0, 0
    for rows in indices.split(batch_size):
        batch = to_device(windows.batch(rows), policy.device)
        obs = {key: value[:, :To] for key, value in batch["obs"].items()}  # {key: (B, To, ...)}
        past = {"past_action": batch["action"][:, : To - 1]} if policy.config.needs_past_action else {}
        predicted = policy.predict_action(obs, generator=generator, **past)["action"]  # (B, Ta, Da)
        wanted = batch["action"][:, policy.config.executed]  # (B, Ta, Da)
        error = normalizer.normalize(predicted) - normalizer.normalize(wanted)  # (B, Ta, Da)
        squares, count = squares + float(error.square().sum()), count + error.numel()
    return (squares / count) ** 0.5


@dataclass
class Best:
    """The best checkpoint so far, by one measure that is the same throughout a run.

    Attributes:
        by_success: measured by successes in the simulator (more is better), or by the held-out action error.
        value: the best value so far; None before the first.
        step: the step that reached it.
    """

    by_success: bool
    value: float | None = None
    step: int | None = None

    def improves(self, value: float, step: int) -> bool:
        """Take note of a value; True if the checkpoint of this step shall be kept as the best.

        Among equal numbers of successes the later step wins: it has been trained longer.
        """
        better = math.isfinite(value) and (
            self.value is None
            or not math.isfinite(self.value)
            or (value >= self.value if self.by_success else value < self.value)
        )
        if better:
            self.value, self.step = value, step
        return better

    def __str__(self) -> str:
        if self.by_success:
            return f"success {self.value:.0%} in the rollouts during training"
        return f"held-out action error {self.value:.4f}"
