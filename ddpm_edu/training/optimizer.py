"""AdamW with the right decay for each part, and a cosine learning rate."""

from __future__ import annotations

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from ddpm_edu.config import TrainingConfig
from ddpm_edu.policy import DiffusionPolicy


def make_optimizer(policy: DiffusionPolicy, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW over the denoiser and the image encoder, each with its own weight decay.

    A denoiser that knows which of its weights should not decay (the transformer's biases, norms and position
    embeddings) says so through `optimizer_groups`.
    """
    denoiser = policy.denoiser
    if hasattr(denoiser, "optimizer_groups"):
        groups = denoiser.optimizer_groups(weight_decay=config.weight_decay)
    else:
        groups = [{"params": list(denoiser.parameters()), "weight_decay": config.weight_decay}]
    encoder = [parameter for parameter in policy.obs_encoder.parameters() if parameter.requires_grad]
    if encoder:
        groups.append({"params": encoder, "weight_decay": config.encoder_weight_decay})
    # The fused kernel updates all weights in one pass: 2 to 9 times faster than the plain loop on CPU.
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def make_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig) -> LambdaLR:
    """Linear warm-up, then half a cosine down to zero (Loshchilov and Hutter 2017, without restarts)."""

    def factor(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / (config.warmup_steps + 1)
        progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)


def set_learning_rate(schedule: LambdaLR) -> None:
    """Gives the optimiser the rate of a schedule whose end has been moved, at the step that it is at."""
    for group, base, factor in zip(
        schedule.optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
    ):
        group["lr"] = base * factor(schedule.last_epoch)
