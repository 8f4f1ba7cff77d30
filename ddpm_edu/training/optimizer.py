"""AdamW with the right decay for each part, a cosine learning rate, and the average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

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


def make_ema(policy: DiffusionPolicy, config: TrainingConfig) -> AveragedModel:
    """The exponential moving average of the weights, whose memory grows with training.

    After n updates its decay is min(`ema_max_decay`, 1 - (1 + n)^-`ema_power`): early on it follows the
    weights, late it averages over thousands of steps. Buffers are copied, not averaged: BatchNorm's running
    statistics would belong to other weights than the averaged ones, so the encoder has GroupNorm.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        decay = min(config.ema_max_decay, 1 - (1 + int(n_averaged)) ** -config.ema_power)
        torch._foreach_lerp_(averaged, current, 1 - decay)

    return AveragedModel(policy, multi_avg_fn=update)
