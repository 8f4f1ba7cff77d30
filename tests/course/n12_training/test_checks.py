"""Notebook 12's checks: right answers pass in any style, and wrong ones are explained."""

import math

import numpy as np
import pytest
import torch
from exercise_checks import assert_passes, message_of

from ddpm_edu.course import checks


def factor_by_cases(step, warmup, steps):
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if step >= steps:
        return 0.0
    return math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2


def factor_numpy(step, warmup, steps):
    curve = 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, steps - warmup + 1))
    line = np.linspace(0, 1, warmup + 2)[1:-1]
    return float(np.concatenate([line, curve])[min(step, steps)])


def ema_lerp(average, weights, decay):
    return torch.lerp(weights, average, decay)


def ema_loop(average, weights, decay):
    rows = [
        [a + (1 - float(decay)) * (w - a) for a, w in zip(*pair, strict=True)]
        for pair in zip(average.tolist(), weights.tolist(), strict=True)
    ]
    return torch.tensor(rows)


def ema_einsum(average, weights, decay):
    return torch.einsum("s,sij->ij", torch.stack([decay, 1 - decay]), torch.stack([average, weights]))


def decay_branches(updates, power, max_decay):
    decay = 1 - 1 / (1 + updates) ** power
    return max_decay if decay > max_decay else decay


def decay_clamped(updates, power, max_decay):
    return float(np.clip(-np.expm1(-power * np.log1p(updates)), None, max_decay))


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.learning_rate_factor, factor_by_cases),
        (checks.learning_rate_factor, factor_numpy),
        (checks.ema_update, ema_lerp),
        (checks.ema_update, ema_loop),
        (checks.ema_update, ema_einsum),
        (checks.ema_decay, decay_branches),
        (checks.ema_decay, decay_clamped),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)


def test_an_update_in_place_is_refused():
    def in_place(average, weights, decay):
        return average.lerp_(weights, 1 - decay)

    assert "changes its argument `average`" in message_of(checks.ema_update, in_place)
