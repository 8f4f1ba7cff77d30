"""Notebook 13's checks: right answers pass in any style, and wrong ones are explained."""

import math

import numpy as np
import pytest
import torch
from exercise_checks import assert_passes, message_of

from ddpm_edu.course import checks
from ddpm_edu.diffusion import sampling
from ddpm_edu.diffusion.schedule import NoiseSchedule
from ddpm_edu.diffusion.schedulers import visited_timesteps


def step_of_the_package(epsilon, noisy, timestep, previous, betas):
    return sampling.ddim_step(NoiseSchedule(betas.double()), epsilon, timestep, noisy, previous)


def step_entry_by_entry(epsilon, noisy, timestep, previous, betas):
    left, left_next = 1.0, 1.0
    for k, beta in enumerate(betas.tolist()):
        left *= 1 - beta if k <= timestep else 1
        left_next *= 1 - beta if k <= previous else 1
    result = torch.empty_like(noisy)
    for place in np.ndindex(*noisy.shape):
        clean = (float(noisy[place]) - math.sqrt(1 - left) * float(epsilon[place])) / math.sqrt(left)
        clean = min(max(clean, -1), 1)
        result[place] = math.sqrt(left_next) * clean + math.sqrt(1 - left_next) * float(epsilon[place])
    return result


def timesteps_with_numpy(K, n):
    return (K * np.arange(n, 0, -1)) // n - 1


def timesteps_by_walking(K, n):
    steps = torch.zeros(n, dtype=torch.long)
    for i in range(n):
        steps[i] = K - 1 + (-K * i // n)
    return steps


def fit_by_counting(rate, Ta, fixed_seconds, step_seconds, K):
    steps = 0
    while steps < K and fixed_seconds + (steps + 1) * step_seconds <= Ta / rate:
        steps += 1
    return steps


def fit_with_tensors(rate, Ta, fixed_seconds, step_seconds, K):
    return torch.tensor((Ta / rate - fixed_seconds) / step_seconds).floor().clamp(0, K).long()


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.ddim_step, step_of_the_package),
        (checks.ddim_step, step_entry_by_entry),
        (checks.trailing_timesteps, visited_timesteps),
        (checks.trailing_timesteps, timesteps_with_numpy),
        (checks.trailing_timesteps, timesteps_by_walking),
        (checks.steps_that_fit, fit_by_counting),
        (checks.steps_that_fit, fit_with_tensors),
    ],
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)


def test_fresh_noise_is_recognised_even_after_other_draws():
    def step(epsilon, noisy, timestep, previous, betas):
        torch.randn(7)
        return noisy + 0.1 * torch.randn_like(noisy)

    assert "draws random numbers" in message_of(checks.ddim_step, step)
