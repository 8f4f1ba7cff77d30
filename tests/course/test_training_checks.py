"""Notebook 12's checks: each known mistake gets its own message, and right answers pass in any style."""

import math

import numpy as np
import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks.training import DECAY_MISTAKES, EMA_MISTAKES, LEARNING_RATE_MISTAKES
from ddpm_edu.course.diagnosis import CheckFailed


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
    check(function)
    assert capsys.readouterr().out.startswith(f"{check.__name__}: correct.")


LISTED = [
    *((checks.learning_rate_factor, mistake) for mistake in LEARNING_RATE_MISTAKES),
    *((checks.ema_update, mistake) for mistake in EMA_MISTAKES),
    *((checks.ema_decay, mistake) for mistake in DECAY_MISTAKES),
]


def message_of(check, function):
    with pytest.raises(CheckFailed) as caught:
        check(function)
    return str(caught.value)


@pytest.mark.parametrize(("check", "mistake"), LISTED, ids=[f"{c.__name__}: {m.name}" for c, m in LISTED])
def test_every_listed_mistake_is_named(check, mistake):
    message = message_of(check, mistake.function)
    assert f"Your function {mistake.name}.\n" in message
    assert mistake.hint in message


def test_an_update_in_place_is_refused():
    def in_place(average, weights, decay):
        return average.lerp_(weights, 1 - decay)

    assert "changes its argument `average`" in message_of(checks.ema_update, in_place)


def stub(*arguments):
    raise NotImplementedError("write it here")


@pytest.mark.parametrize("check", [checks.learning_rate_factor, checks.ema_update, checks.ema_decay])
@pytest.mark.parametrize(
    "function",
    [
        stub,
        lambda *arguments: None,
        lambda *arguments: True,
        lambda *arguments: 0.5,
        lambda *arguments: arguments[0],
        lambda *arguments: 1 / 0,
    ],
    ids=["stub", "none", "bool", "number", "first argument", "error"],
)
def test_stubs_and_constants_fail_in_one_short_message(check, function):
    message = message_of(check, function)
    assert message.startswith(f"{check.__name__}: not yet.\n")
    assert len(message.splitlines()) == 3
