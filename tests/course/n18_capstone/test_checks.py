"""Notebook 18's checks: right answers pass in any style."""

import math

import numpy as np
import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks
from ddpm_edu.diffusion.schedule import make_noise_schedule


def levels_in_a_loop(K):
    def f(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    left, levels = 1.0, []
    for k in range(K):
        left *= 1 - min(0.999, 1 - f((k + 1) / K) / f(k / K))
        levels.append(left)
    return np.array(levels)


def loss_in_a_loop(trajectory, noise, k, alpha_bar, predict):
    losses = []
    for x, epsilon, step in zip(trajectory, noise, k, strict=True):
        noisy = alpha_bar[step] ** 0.5 * x + (1 - alpha_bar[step]) ** 0.5 * epsilon
        losses.append(torch.nn.functional.mse_loss(predict(noisy[None], step[None])[0], epsilon))
    return sum(losses) / len(losses)


def unet_by_the_package(unet, noisy, k, seen):
    return unet(noisy, k, global_cond=seen)


def sample_by_diffusers_formula(noise, alpha_bar, levels, predict):
    x = noise.double()
    after = [*alpha_bar[levels[1:]].tolist(), 1.0]
    for k, there in zip(levels.tolist(), after, strict=True):
        here = float(alpha_bar[k])
        epsilon = predict(x.float(), k).double()
        clean = ((x - (1 - here) ** 0.5 * epsilon) / here**0.5).clip(-1, 1)
        x = there**0.5 * clean + (1 - there) ** 0.5 * epsilon
    return x.float()


@pytest.mark.parametrize(
    ("check", "solution"),
    [
        (checks.noise_levels, levels_in_a_loop),
        (checks.noise_levels, lambda K: make_noise_schedule(K).alpha_bar_float64),
        (checks.policy_loss, loss_in_a_loop),
        (checks.unet_forward, unet_by_the_package),
        (checks.policy_sample, sample_by_diffusers_formula),
    ],
)
def test_right_answers_pass_in_any_style(check, solution, capsys):
    assert_passes(check, solution, capsys)
