"""Notebook 07's checks: right answers pass in any style, and wrong ones are explained."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exercise_checks import assert_passes, message_of

from ddpm_edu.course import checks


def embedding_vectorised(timestep, dim):
    half = dim // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half) / (half - 1))
    angle = timestep[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def embedding_loop(timestep, dim):
    half = dim // 2
    rows = []
    for k in timestep.tolist():
        angles = [k / 10000 ** (i / (half - 1)) for i in range(half)]
        rows.append([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
    return torch.tensor(rows)


def embedding_einsum(timestep, dim):
    angle = torch.einsum("b,f->bf", timestep.double(), torch.logspace(0, -4, dim // 2).double())
    return torch.hstack([torch.sin(angle), torch.cos(angle)])


def embedding_numpy(timestep, dim):
    angle = np.outer(timestep.numpy(), np.geomspace(1, 1e-4, dim // 2))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def film_vectorised(x, cond, weight, bias):
    scale, shift = (F.mish(cond) @ weight.T + bias).unsqueeze(-1).chunk(2, dim=1)
    return scale * x + shift


def film_loop(x, cond, weight, bias):
    out = torch.empty_like(x)
    for b in range(x.shape[0]):
        both = weight @ F.mish(cond[b]) + bias
        for c in range(x.shape[1]):
            out[b, c] = both[c] * x[b, c] + both[x.shape[1] + c]
    return out


def film_einsum(x, cond, weight, bias):
    C = x.shape[1]
    active = cond * torch.tanh(torch.log1p(cond.exp()))
    both = torch.einsum("bd,cd->bc", active, weight) + bias
    return torch.einsum("bc,bct->bct", both[:, :C], x) + both[:, C:, None]


def block_in_one_line(x, cond, block):
    return block.residual(x) + block.block_out(block.film(block.block_in(x), cond))


def block_in_steps(x, cond, block):
    out = block.block_in(x)
    out = block.film(out, cond)
    out = block.block_out(out)
    return torch.stack([out, block.residual(x)]).sum(0)


def block_one_sample_at_a_time(x, cond, block):
    return torch.cat([block_in_one_line(x[b : b + 1], cond[b : b + 1], block) for b in range(len(x))])


def horizon_ceil(steps, levels):
    divisor = 2 ** (levels - 1)
    return math.ceil(steps / divisor) * divisor


def horizon_loop(steps, levels):
    while steps % 2 ** (levels - 1):
        steps += 1
    return steps


def horizon_bits(steps, levels):
    return ((steps - 1 >> levels - 1) + 1) << levels - 1


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.sinusoidal_embedding, embedding_vectorised),
        (checks.sinusoidal_embedding, embedding_loop),
        (checks.sinusoidal_embedding, embedding_einsum),
        (checks.sinusoidal_embedding, embedding_numpy),
        (checks.film, film_vectorised),
        (checks.film, film_loop),
        (checks.film, film_einsum),
        (checks.residual_block, block_in_one_line),
        (checks.residual_block, block_in_steps),
        (checks.residual_block, block_one_sample_at_a_time),
        (checks.fitting_horizon, horizon_ceil),
        (checks.fitting_horizon, horizon_loop),
        (checks.fitting_horizon, horizon_bits),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)


def film_in_place(x, cond, weight, bias):
    scale, shift = (F.mish(cond) @ weight.T + bias).unsqueeze(-1).chunk(2, dim=1)
    return x.mul_(scale).add_(shift).clone()


@pytest.mark.parametrize(
    ("check", "function", "part"),
    [
        (checks.film, film_in_place, "changes its argument `x`"),
        (checks.film, lambda x, cond: x, "Keep the stub's arguments"),
        (checks.residual_block, lambda x, cond, block: block.block_in(x), "does not use `cond`"),
        # An error inside the student's function is not one of its own arguments.
        (checks.residual_block, lambda x, cond, block: block.film(x), "It raises TypeError: FiLM.forward()"),
        (checks.fitting_horizon, lambda steps, levels: True, "Your answer is True everywhere"),
        (checks.fitting_horizon, lambda steps, levels: steps, "returns `steps` as it is"),
        (checks.sinusoidal_embedding, lambda timestep, dim: timestep, "does not use `dim`"),
    ],
)
def test_other_wrong_answers_are_explained(check, function, part):
    assert part in message_of(check, function)
