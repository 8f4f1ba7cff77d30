"""Notebook 05's checks: each known mistake gets its own message, and right answers pass in any style."""

import pytest
import torch
from torch.nn import functional as F

from ddpm_edu.course import checks
from ddpm_edu.course.checks.masked_loss import MASKED_LOSS_MISTAKES, PADDED_LOSS_MISTAKES
from ddpm_edu.course.checks.targets import SAMPLE_FROM_EPSILON_MISTAKES, V_TARGET_MISTAKES
from ddpm_edu.course.diagnosis import CheckFailed
from ddpm_edu.diffusion.masking import masked_mse

CHECKS = {
    checks.v_target: V_TARGET_MISTAKES,
    checks.sample_from_epsilon: SAMPLE_FROM_EPSILON_MISTAKES,
    checks.masked_loss: MASKED_LOSS_MISTAKES,
    checks.padded_loss: PADDED_LOSS_MISTAKES,
}
LISTED = [(check, mistake) for check, mistakes in CHECKS.items() for mistake in mistakes]


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
    check(function)
    assert capsys.readouterr().out.startswith(f"{check.__name__}: correct.")


def message_of(check, function):
    with pytest.raises(CheckFailed) as caught:
        check(function)
    return str(caught.value)


@pytest.mark.parametrize(
    ("check", "mistake"), LISTED, ids=lambda value: getattr(value, "__name__", getattr(value, "name", None))
)
def test_every_listed_mistake_is_named(check, mistake):
    message = message_of(check, mistake.function)
    assert f"Your function {mistake.name}.\n" in message
    assert mistake.hint in message


def stub(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "function",
    [stub, lambda *_: None, lambda *_: 0.0, lambda *_: torch.tensor(1.0), lambda first, *_: first],
    ids=["stub", "none", "number", "constant", "first argument"],
)
def test_stubs_and_constants_fail_in_one_short_message(check, function):
    message = message_of(check, function)
    assert message.startswith(f"{check.__name__}: not yet.\n")
    assert len(message.splitlines()) == 3
