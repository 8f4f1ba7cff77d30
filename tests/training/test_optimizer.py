"""The learning rate and the average of the weights, against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from ddpm_edu.config import TrainingConfig
from ddpm_edu.factory import make_policy
from ddpm_edu.training.ema import make_ema
from ddpm_edu.training.optimizer import make_learning_rate, make_optimizer


@pytest.fixture
def policy():
    return make_policy("can", horizon=4, n_action_steps=2, down_dims=(8, 16), n_groups=4)


def test_the_learning_rate_warms_up_and_falls_by_half_a_cosine(policy):
    config = TrainingConfig(steps=100, warmup_steps=10, learning_rate=2.0)
    optimizer = make_optimizer(policy, config)
    schedule = make_learning_rate(optimizer, config)
    rates = []
    for _ in range(101):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:10] == pytest.approx([2 * (step + 1) / 11 for step in range(10)])
    expected = [1 + math.cos(math.pi * (step - 10) / 90) for step in range(10, 101)]
    assert rates[10:] == pytest.approx(expected, abs=1e-9)
    assert max(rates) == 2.0
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_the_average_follows_its_recursion(policy):
    config = TrainingConfig(ema_power=0.75, ema_max_decay=0.6)
    ema = make_ema(policy, config)
    weight = next(policy.denoiser.parameters())
    expected, decays = None, []
    for update in range(6):
        with torch.no_grad():
            weight.fill_(float(update))
        ema.update_parameters(policy)
        decay = min(0.6, 1 - (1 + update) ** -0.75) if update else 0.0
        expected = decay * (expected or 0.0) + (1 - decay) * update
        decays.append(decay)
        average = next(ema.module.denoiser.parameters())
        torch.testing.assert_close(average, torch.full_like(average, expected))
    assert decays[-1] == 0.6


def test_every_trained_weight_is_in_exactly_one_group():
    for denoiser in ("unet", "transformer"):
        policy = make_policy("can", denoiser, observation="low_dim")
        groups = make_optimizer(policy, TrainingConfig(weight_decay=0.1)).param_groups
        grouped = [id(parameter) for group in groups for parameter in group["params"]]
        assert len(grouped) == len(set(grouped))
        assert set(grouped) == {id(p) for p in policy.parameters() if p.requires_grad}
