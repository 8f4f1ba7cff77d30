"""Notebook 03's checks: right answers pass in any style, and wrong ones are explained."""

import time

import numpy as np
import pytest
import torch
from einops import reduce
from exercise_checks import assert_passes, message_of
from torch.nn import functional

from ddpm_edu.course import checks

# ------------------------------------------------------------------------------------------------
# right answers, written in different ways
# ------------------------------------------------------------------------------------------------


def constant_loop(samples):
    total = torch.zeros_like(samples[0])
    for sample in samples:
        total = total + sample
    return total / len(samples)


def constant_einsum(samples):
    return torch.einsum("ntd->td", samples) / samples.shape[0]


def constant_numpy(samples):
    return np.mean(samples.numpy(), axis=0)


def constant_least_squares(samples):
    ones = torch.ones(len(samples), 1, dtype=torch.float64)
    return torch.linalg.lstsq(ones, samples.flatten(1).double()).solution.view_as(samples[0])


def constant_by_descent(samples):
    constant = torch.zeros_like(samples[0], requires_grad=True)
    optimizer = torch.optim.SGD([constant], 0.25)
    for _ in range(100):
        optimizer.zero_grad()
        (samples - constant).square().mean(dim=0).sum().backward()
        optimizer.step()
    return constant


def share_vectorised(trajectories):
    nearest = trajectories[..., 0].abs().argmin(dim=1)
    return (trajectories[torch.arange(len(trajectories)), nearest, 1] > 0).float().mean()


def share_loop(trajectories):
    left = 0
    for trajectory in trajectories:
        _, y = min(trajectory.tolist(), key=lambda point: abs(point[0]))
        left += y > 0
    return torch.tensor(left / len(trajectories))


def share_gather(trajectories):
    nearest = trajectories[..., 0].square().min(dim=1, keepdim=True).indices
    return trajectories[..., 1].gather(1, nearest).gt(0).double().mean()


def share_numpy(trajectories):
    values = trajectories.numpy()
    y = np.take_along_axis(values[..., 1], np.abs(values[..., 0]).argmin(1)[:, None], 1)
    return np.asarray((y > 0).mean())


def loss_vectorised(denoise, clean, noise, timestep, alpha_bar):
    share = alpha_bar[timestep][:, None, None]
    noisy = share.sqrt() * clean + (1 - share).sqrt() * noise
    return functional.mse_loss(denoise(noisy, timestep), noise)


def loss_as_outlined(denoise, clean, noise, timestep, alpha_bar):
    share = alpha_bar[timestep].reshape(-1, 1, 1)
    noisy = share**0.5 * clean + (1 - share) ** 0.5 * noise
    loss = functional.mse_loss(denoise(noisy, timestep), noise, reduction="none")
    return reduce(loss, "b ... -> b (...)", "mean").mean()


def loss_loop(denoise, clean, noise, timestep, alpha_bar):
    losses = []
    for x, epsilon, k in zip(clean, noise, timestep, strict=True):
        noisy = alpha_bar[k].sqrt() * x + (1 - alpha_bar[k]).sqrt() * epsilon
        losses.append((denoise(noisy[None], k[None])[0] - epsilon).square().mean())
    return torch.stack(losses).mean()


def loss_einsum(denoise, clean, noise, timestep, alpha_bar):
    share = alpha_bar[timestep]
    noisy = torch.einsum("b,btd->btd", share**0.5, clean) + torch.einsum(
        "b,btd->btd", (1 - share) ** 0.5, noise
    )
    error = denoise(noisy, timestep) - noise
    return torch.einsum("btd,btd->", error, error) / error.numel()


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.best_constant, constant_loop),
        (checks.best_constant, constant_einsum),
        (checks.best_constant, constant_numpy),
        (checks.best_constant, constant_least_squares),
        (checks.best_constant, constant_by_descent),
        (checks.share_left, share_vectorised),
        (checks.share_left, share_loop),
        (checks.share_left, share_gather),
        (checks.share_left, share_numpy),
        (checks.noise_loss, loss_vectorised),
        (checks.noise_loss, loss_as_outlined),
        (checks.noise_loss, loss_loop),
        (checks.noise_loss, loss_einsum),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)


# ------------------------------------------------------------------------------------------------
# wrong answers, by name
# ------------------------------------------------------------------------------------------------


def loss_with_own_noise(denoise, clean, noise, timestep, alpha_bar):
    return loss_vectorised(denoise, clean, torch.randn_like(clean), timestep, alpha_bar)


def loss_without_gradient(denoise, clean, noise, timestep, alpha_bar):
    with torch.no_grad():
        return loss_vectorised(denoise, clean, noise, timestep, alpha_bar)


def loss_detached(denoise, clean, noise, timestep, alpha_bar):
    return loss_vectorised(denoise, clean, noise, timestep, alpha_bar).detach()


def loss_in_place(denoise, clean, noise, timestep, alpha_bar):
    share = alpha_bar[timestep].reshape(-1, 1, 1)
    clean *= share.sqrt()
    return (denoise(clean + (1 - share).sqrt() * noise, timestep) - noise).square().mean()


def loss_without_axes(denoise, clean, noise, timestep, alpha_bar):
    share = alpha_bar[timestep]
    return (denoise(share.sqrt() * clean + (1 - share).sqrt() * noise, timestep) - noise).square().mean()


@pytest.mark.parametrize(
    ("check", "function", "part"),
    [
        (checks.best_constant, lambda samples: samples.mean(0) + 0.01, "right ones, and 0.01 more"),
        (
            checks.best_constant,
            lambda samples: samples.sub_(0).mean(0).add_(samples.add_(1).sum() * 0),
            "changes",
        ),
        (checks.best_constant, lambda samples: None, "returns nothing"),
        (checks.best_constant, lambda: 0, "Keep the stub's arguments"),
        (checks.share_left, lambda trajectories: trajectories[99], "IndexError"),
        (checks.noise_loss, loss_with_own_noise, "random numbers of its own"),
        (checks.noise_loss, loss_without_gradient, "carries no gradient"),
        (checks.noise_loss, loss_detached, "carries no gradient"),
        (checks.noise_loss, loss_in_place, "changes its argument `clean`"),
        (checks.noise_loss, loss_without_axes, "along the last axis"),
    ],
)
def test_other_wrong_answers_are_explained(check, function, part):
    assert part in message_of(check, function)


def test_even_an_unknown_mistake_takes_under_a_second():
    begin = time.process_time()
    for check in (checks.best_constant, checks.share_left, checks.noise_loss):
        message_of(check, lambda *arguments: torch.tensor(0.123))
    assert time.process_time() - begin < 1
