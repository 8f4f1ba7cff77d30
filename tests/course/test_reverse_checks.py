"""Notebook 06's checks: each known mistake gets its own message, and right answers pass in any style."""

import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks.reverse import POSTERIOR_MEAN_MISTAKES, REVERSE_STEP_MISTAKES
from ddpm_edu.course.checks.reverse_loop import SAMPLING_LOOP_MISTAKES
from ddpm_edu.course.diagnosis import CheckFailed
from ddpm_edu.diffusion.sampling import ddpm_step
from ddpm_edu.diffusion.schedule import NoiseSchedule

ALL = (
    (checks.posterior_mean, POSTERIOR_MEAN_MISTAKES),
    (checks.reverse_step, REVERSE_STEP_MISTAKES),
    (checks.sampling_loop, SAMPLING_LOOP_MISTAKES),
)


def mean_by_bayes(clean, noisy, timestep, betas):
    """Two normal densities in x_(k-1) multiplied: their precisions add."""
    left = 1.0
    for beta in betas[:timestep].tolist():
        left *= 1 - beta
    if left == 1:
        return clean.clone()
    beta = float(betas[timestep])
    from_above, from_below = (1 - beta) / beta, 1 / (1 - left)
    pull = (1 - beta) ** 0.5 / beta * noisy + left**0.5 / (1 - left) * clean
    return pull / (from_above + from_below)


def step_of_the_package(epsilon, noisy, noise, timestep, betas):
    return ddpm_step(NoiseSchedule(betas.double()), epsilon, timestep, noisy, noise)


def step_by_bayes(epsilon, noisy, noise, timestep, betas):
    alpha_bar = torch.log1p(-betas).cumsum(0).exp()
    clean = torch.clip(
        (noisy - (1 - alpha_bar[timestep]) ** 0.5 * epsilon) / alpha_bar[timestep] ** 0.5, -1, 1
    )
    mean = mean_by_bayes(clean, noisy, timestep, betas)
    if timestep == 0:
        return mean
    beta = betas[timestep]
    return mean + ((1 - beta) / beta + 1 / (1 - alpha_bar[timestep - 1])) ** -0.5 * noise


def loop_while(denoise, step, start, noise):
    k, x = len(noise), start.clone()
    while k > 0:
        k -= 1
        x = step(denoise(x, k), x, noise[k], k)
    return x


def loop_recursive(denoise, step, start, noise):
    if len(noise) == 0:
        return start
    k = len(noise) - 1
    return loop_recursive(denoise, step, step(denoise(start, k), start, noise[k], k), noise[:-1])


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.posterior_mean, mean_by_bayes),
        (checks.reverse_step, step_of_the_package),
        (checks.reverse_step, step_by_bayes),
        (checks.sampling_loop, loop_while),
        (checks.sampling_loop, loop_recursive),
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
    ("check", "mistake"),
    [(check, mistake) for check, mistakes in ALL for mistake in mistakes],
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", None)),
)
def test_every_listed_mistake_is_named(check, mistake):
    message = message_of(check, mistake.function)
    assert f"Your function {mistake.name}.\n" in message
    assert mistake.hint in message


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
