"""Notebook 13's checks: each known mistake gets its own message, and right answers pass in any style."""

import math

import numpy as np
import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks.sampling import BUDGETS, DDIM_STEP_MISTAKES, TIMESTEPS
from ddpm_edu.course.diagnosis import CheckFailed
from ddpm_edu.diffusion import sampling
from ddpm_edu.diffusion.schedule import NoiseSchedule
from ddpm_edu.diffusion.schedulers import visited_timesteps

ALL = (
    (checks.ddim_step, [(mistake.name, mistake.function, mistake.hint) for mistake in DDIM_STEP_MISTAKES]),
    (checks.trailing_timesteps, TIMESTEPS),
    (checks.steps_that_fit, BUDGETS),
)


def called_with_numbers(check, function):
    """The listed DDIM mistakes take tensors for steps; a student gets numbers."""
    if check is not checks.ddim_step:
        return function
    return lambda epsilon, noisy, k, previous, betas: function(
        epsilon, noisy, torch.tensor(k), torch.tensor(previous), betas
    )


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
    check(function)
    assert capsys.readouterr().out.startswith(f"{check.__name__}: correct.")


def message_of(check, function):
    with pytest.raises(CheckFailed) as caught:
        check(function)
    return str(caught.value)


@pytest.mark.parametrize(
    ("check", "name", "function", "hint"),
    [(check, *mistake) for check, mistakes in ALL for mistake in mistakes],
    ids=lambda value: value[:40] if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_every_listed_mistake_is_named(check, name, function, hint):
    message = message_of(check, called_with_numbers(check, function))
    assert f"Your function {name}.\n" in message
    assert hint in message


def test_fresh_noise_is_recognised_even_after_other_draws():
    def step(epsilon, noisy, timestep, previous, betas):
        torch.randn(7)
        return noisy + 0.1 * torch.randn_like(noisy)

    assert "draws random numbers" in message_of(checks.ddim_step, step)


def stub(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("check", [check for check, _ in ALL])
@pytest.mark.parametrize(
    "function",
    [stub, lambda *a: None, lambda *a: 0.0, lambda *a: torch.zeros(2, 4, 3), lambda *a: 1 / 0],
    ids=["stub", "none", "number", "zeros", "error"],
)
def test_stubs_and_constants_fail_in_one_short_message(check, function):
    message = message_of(check, function)
    assert message.startswith(f"{check.__name__}: not yet.\n")
    assert len(message.splitlines()) == 3
