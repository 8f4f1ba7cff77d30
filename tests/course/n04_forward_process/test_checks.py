"""Notebook 04's checks: right answers pass in any style, and wrong ones are explained."""

import math
import time

import numpy as np
import pytest
import torch
from einops import rearrange
from exercise_checks import assert_passes, message_of

from ddpm_edu.course import checks
from ddpm_edu.course.diagnosis import CheckFailed
from ddpm_edu.course.n04_forward_process.checks import forward_process_mistakes

# ------------------------------------------------------------------------------------------------
# right answers, written in different ways
# ------------------------------------------------------------------------------------------------


def alpha_bar_vectorised(betas):
    return torch.cumprod(1 - betas, dim=0)


def alpha_bar_loop(betas):
    left, values = 1.0, []
    for beta in betas.tolist():
        left *= 1 - beta
        values.append(left)
    return torch.tensor(values)


def alpha_bar_logarithms(betas):
    return torch.log1p(-betas).cumsum(0).exp()


def alpha_bar_numpy(betas):
    return np.cumprod(1 - betas.numpy())


def noise_vectorised(clean, noise, timestep, betas):
    alpha_bar = torch.cumprod(1 - betas, 0)[timestep][:, None, None]
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def noise_loop(x0, eps, ks, betas):
    rows = []
    for b in range(len(x0)):
        share = math.prod(1 - beta for beta in betas[: int(ks[b]) + 1].tolist())
        rows.append(x0[b] * share**0.5 + eps[b] * (1 - share) ** 0.5)
    return torch.stack(rows)


def noise_einsum(clean, noise, timestep, betas):
    alpha_bar = alpha_bar_logarithms(betas)[timestep]
    return torch.einsum("b,btd->btd", alpha_bar**0.5, clean) + torch.einsum(
        "b,btd->btd", (1 - alpha_bar) ** 0.5, noise
    )


def noise_einops_in_float64(clean, noise, timestep, betas):
    alpha_bar = rearrange(torch.cumprod(1 - betas.double(), 0)[timestep], "B -> B 1 1")
    return torch.lerp(noise * (1 - alpha_bar).sqrt(), clean * alpha_bar.sqrt() + noise * 0, 0.5) * 2


def noise_numpy(clean, noise, timestep, betas):
    alpha_bar = np.cumprod(1 - betas.numpy())[timestep.numpy()].reshape(-1, 1, 1)
    return np.sqrt(alpha_bar) * clean.numpy() + np.sqrt(1 - alpha_bar) * noise.numpy()


def chain_loop(clean, betas):
    x = clean
    for beta in betas:
        x = torch.sqrt(1 - beta) * x + torch.sqrt(beta) * torch.randn_like(x)
    return x


def chain_all_noise_first(x, betas):
    noise = torch.randn(len(betas), *x.shape)
    for k in range(len(betas)):
        x = math.sqrt(1 - float(betas[k])) * x + math.sqrt(float(betas[k])) * noise[k]
    return x


def chain_normal(clean, betas):
    x = clean.clone()
    for beta in betas.tolist():
        x = torch.normal(x * (1 - beta) ** 0.5, beta**0.5)
    return x


def chain_numpy(clean, betas):
    random, x = np.random.default_rng(), clean.numpy()
    for beta in betas.tolist():
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * random.standard_normal(x.shape)
    return x


def chain_recursive(clean, betas):
    if len(betas) == 0:
        return clean
    before = chain_recursive(clean, betas[:-1])
    return (1 - betas[-1]) ** 0.5 * before + betas[-1] ** 0.5 * torch.randn(before.shape)


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.alpha_bar, alpha_bar_vectorised),
        (checks.alpha_bar, alpha_bar_loop),
        (checks.alpha_bar, alpha_bar_logarithms),
        (checks.alpha_bar, alpha_bar_numpy),
        (checks.forward_process, noise_vectorised),
        (checks.forward_process, noise_loop),
        (checks.forward_process, noise_einsum),
        (checks.forward_process, noise_einops_in_float64),
        (checks.forward_process, noise_numpy),
        (checks.forward_chain, chain_loop),
        (checks.forward_chain, chain_all_noise_first),
        (checks.forward_chain, chain_normal),
        (checks.forward_chain, chain_numpy),
        (checks.forward_chain, chain_recursive),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)


# ------------------------------------------------------------------------------------------------
# wrong answers, by name
# ------------------------------------------------------------------------------------------------


def test_two_mistakes_at_once_are_named():
    mistakes = list(forward_process_mistakes())
    names = {mistake.name for mistake in mistakes}
    double = [mistake for mistake in mistakes if ", and " in mistake.name]
    assert len(double) > 50
    for mistake in double:
        said = message_of(checks.forward_process, mistake.function).splitlines()[1]
        # Not always both names: two missing roots are said in one, "takes no square roots".
        assert said.removeprefix("  Your function ").removesuffix(".") in names


def wrong_broadcast(clean, noise, timestep, betas):
    alpha_bar = torch.cumprod(1 - betas, 0)[timestep]
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def no_root_on_the_noise(clean, noise, timestep, betas):
    alpha_bar = torch.cumprod(1 - betas, 0)[timestep].view(-1, 1, 1)
    return alpha_bar**0.5 * clean + (1 - alpha_bar) * noise


def python_index_before(clean, noise, timestep, betas):
    alpha_bar = torch.cumprod(1 - betas, 0)[timestep - 1].view(-1, 1, 1)
    return alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noise


def own_noise(clean, noise, timestep, betas):
    return noise_vectorised(clean, torch.randn_like(clean), timestep, betas)


def in_place(clean, noise, timestep, betas):
    alpha_bar = torch.cumprod(1 - betas, 0)[timestep][:, None, None]
    clean *= alpha_bar.sqrt()
    return clean + (1 - alpha_bar).sqrt() * noise


def forgets_return(clean, noise, timestep, betas):
    noise_vectorised(clean, noise, timestep, betas)


def sums_over_time(clean, noise, timestep, betas):
    return noise_vectorised(clean, noise, timestep, betas).sum(dim=1)


def divides_by_zero(clean, noise, timestep, betas):
    return clean / 0 + noise


def slightly_off(clean, noise, timestep, betas):
    return noise_vectorised(clean, noise, timestep, betas) + 0.01


def two_arguments(clean, noise):
    return clean + noise


def chain_seeded_inside(clean, betas):
    torch.manual_seed(0)
    return chain_loop(clean, betas)


def chain_noise_per_batch(clean, betas):
    x = clean
    for beta in betas:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn(x.shape[1:])
    return x


def chain_noise_per_step(clean, betas):
    x = clean
    for beta in betas:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn(len(x), 1, x.shape[2])
    return x


def chain_half_the_noise(clean, betas):
    x = clean
    for beta in betas:
        x = (1 - beta).sqrt() * x + 0.9 * beta.sqrt() * torch.randn_like(x)
    return x


def chain_in_place(clean, betas):
    for beta in betas:
        clean.mul_((1 - beta).sqrt()).add_(beta.sqrt() * torch.randn_like(clean))
    return clean.clone()


def chain_all_levels(clean, betas):
    return torch.stack([chain_loop(clean, betas[: k + 1]) for k in range(len(betas))])


@pytest.mark.parametrize(
    ("check", "function", "part"),
    [
        (checks.forward_process, wrong_broadcast, "along the last axis"),
        (checks.forward_process, no_root_on_the_noise, "1 - alpha_bar, without the square root"),
        (checks.forward_process, python_index_before, "off by one step: it takes alpha_bar[k - 1]"),
        (checks.forward_process, own_noise, "random numbers of its own"),
        (checks.forward_process, in_place, "changes its argument `clean`"),
        (checks.forward_process, forgets_return, "returns nothing"),
        (checks.forward_process, sums_over_time, "sum over T (axis 1) too. It returns the shape (5, 3)"),
        (checks.forward_process, divides_by_zero, "not finite"),
        (checks.forward_process, slightly_off, "0.01 more"),
        (checks.forward_process, two_arguments, "Keep the stub's arguments"),
        (checks.forward_chain, chain_seeded_inside, "not re-drawn: each call"),
        (checks.forward_chain, chain_noise_per_batch, "Every sample of the batch gets the same noise"),
        (checks.forward_chain, chain_noise_per_step, "Every time step of a trajectory gets the same noise"),
        (checks.forward_chain, chain_half_the_noise, "0.55 and 0.70 are right"),
        (checks.forward_chain, chain_in_place, "changes its argument `clean`"),
        (checks.forward_chain, chain_all_levels, "(2048, 8, 4) is wanted"),
        (checks.forward_chain, lambda clean, betas: clean, "returns the clean trajectory"),
        (checks.forward_chain, lambda clean, betas: 0.55 * clean, "holds no noise"),
        (checks.forward_chain, lambda clean, betas: clean + betas[:3], "RuntimeError"),
    ],
)
def test_other_wrong_answers_are_explained(check, function, part):
    assert part in message_of(check, function)


def stub(*arguments):
    raise NotImplementedError("write it here")


def test_the_notebook_shows_the_message_alone():
    with pytest.raises(CheckFailed) as caught:
        checks.alpha_bar(stub)
    assert caught.value._render_traceback_() == str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.alpha_bar, stub),
        (checks.forward_process, slightly_off),
        (checks.forward_chain, chain_half_the_noise),
    ],
    ids=lambda value: value.__name__,
)
def test_even_an_unknown_mistake_takes_under_a_second(check, function):
    begin = time.process_time()
    message_of(check, function)
    assert time.process_time() - begin < 1
