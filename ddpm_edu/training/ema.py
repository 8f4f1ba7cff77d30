"""The exponential moving average of the weights: what a policy acts with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ddpm_edu.config import TrainingConfig


def make_ema(policy: nn.Module, config: TrainingConfig) -> AveragedModel:
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
