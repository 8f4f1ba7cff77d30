"""Notebook 05's checks: right answers pass in any style (test_checks.py has the wrong ones)."""

import pytest
import torch
from exercise_checks import assert_passes
from torch.nn import functional as F

from ddpm_edu.course import checks
from ddpm_edu.diffusion.masking import masked_mse


def v_loop(clean, noise, timestep, alpha_bar):
    rows = []
    for b, k in enumerate(timestep.tolist()):
        rows.append(alpha_bar[k] ** 0.5 * noise[b] - (1 - alpha_bar[k]) ** 0.5 * clean[b])
    return torch.stack(rows)


def v_einsum(clean, noise, timestep, alpha_bar):
    a = alpha_bar[timestep].sqrt()
    return torch.einsum("b,btd->btd", a, noise) - torch.einsum("b,btd->btd", (1 - a**2).sqrt(), clean)


def v_by_way_of_x_k(clean, noise, timestep, alpha_bar):
    a = alpha_bar[timestep].sqrt().view(-1, 1, 1)
    s = (1 - a**2).sqrt()
    return (noise - s * (a * clean + s * noise)) / a


def clean_vectorised(noisy, epsilon, timestep, alpha_bar):
    a = alpha_bar[timestep].view(-1, 1, 1)
    return noisy / a.sqrt() - (1 / a - 1).sqrt() * epsilon


def clean_loop(noisy, epsilon, timestep, alpha_bar):
    shares = alpha_bar[timestep].tolist()
    rows = [(x - (1 - q) ** 0.5 * e) / q**0.5 for x, e, q in zip(noisy, epsilon, shares, strict=True)]
    return torch.stack(rows)


def masked_functional(prediction, target, condition_mask):
    loss = F.mse_loss(prediction, target, reduction="none")
    return (loss * (~condition_mask).type(loss.dtype)).flatten(1).mean(1).mean()


def masked_where(prediction, target, condition_mask):
    difference = torch.where(condition_mask, 0.0, prediction - target)
    return torch.einsum("btd,btd->", difference, difference) / difference.numel()


def masked_loop(prediction, target, condition_mask):
    total = torch.zeros(())
    for p, t, given in zip(prediction.flatten(), target.flatten(), condition_mask.flatten(), strict=True):
        total = total + (0 if given else (p - t) ** 2)
    return total / prediction.numel()


def masked_package(prediction, target, condition_mask):
    return masked_mse(prediction, target, ~condition_mask)


def padded_index(prediction, target, is_pad):
    return F.mse_loss(prediction[~is_pad], target[~is_pad])


def padded_broadcast(prediction, target, is_pad):
    counts = (~is_pad).unsqueeze(-1).float()
    return ((prediction - target) ** 2 * counts).sum() / (counts.sum() * prediction.shape[-1])


def padded_package(prediction, target, is_pad):
    return masked_mse(prediction, target, is_pad=is_pad)


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.v_target, v_loop),
        (checks.v_target, v_einsum),
        (checks.v_target, v_by_way_of_x_k),
        (checks.sample_from_epsilon, clean_vectorised),
        (checks.sample_from_epsilon, clean_loop),
        (checks.masked_loss, masked_functional),
        (checks.masked_loss, masked_where),
        (checks.masked_loss, masked_loop),
        (checks.masked_loss, masked_package),
        (checks.padded_loss, padded_index),
        (checks.padded_loss, padded_broadcast),
        (checks.padded_loss, padded_package),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)
