"""Notebook 09's checks: right answers pass in any style, and wrong ones are explained."""

import pytest
import torch
from exercise_checks import assert_passes, message_of

from ddpm_edu.course import checks
from ddpm_edu.diffusion.masking import clamp_conditioned, make_condition_mask


def condition_as_in_the_seed(features, T, Da):
    B, To, Do = features.shape
    data = torch.zeros(size=(B, T, Da + Do))
    mask = torch.zeros_like(data, dtype=torch.bool)
    data[:, :To, Da:] = features
    mask[:, :To, Da:] = True
    return data, mask


def condition_by_padding(features, T, Da):
    B, To, Do = features.shape
    data = torch.nn.functional.pad(features, (Da, 0, 0, T - To))
    return data, make_condition_mask(B, T, Da, Do, To)


def condition_loop(features, T, Da):
    B, To, Do = features.shape
    data, mask = torch.zeros(B, T, Da + Do), torch.zeros(B, T, Da + Do) > 1
    for step in range(To):
        for d in range(Do):
            data[:, step, Da + d] = features[:, step, d]
            mask[:, step, Da + d] = True
    return [data, mask]


def loop_as_in_the_seed(denoise_step, timesteps, condition_data, condition_mask, noise):
    trajectory = noise.clone()
    for k in timesteps:
        trajectory[condition_mask] = condition_data[condition_mask]
        trajectory = denoise_step(trajectory, k)
    trajectory[condition_mask] = condition_data[condition_mask]
    return trajectory


def loop_that_clamps_first(denoise_step, timesteps, data, mask, noise):
    x = clamp_conditioned(noise, data, mask)
    for k in timesteps.tolist():
        x = clamp_conditioned(denoise_step(x, k), data, mask)
    return x


def loop_by_multiplying(denoise_step, timesteps, data, mask, noise):
    given = mask.float()
    for i in range(len(timesteps)):
        noise = denoise_step(noise * (1 - given) + data * given, timesteps[i])
    return noise * (1 - given) + data * given


def input_by_index(clean, noise, alpha_bar_k, condition_mask):
    share = alpha_bar_k.reshape(-1, 1, 1)
    noisy = share.sqrt() * clean + (1 - share).sqrt() * noise
    noisy[condition_mask] = clean[condition_mask]
    return noisy


def input_loop(clean, noise, alpha_bar_k, condition_mask):
    rows = []
    for x, e, q, given in zip(clean, noise, alpha_bar_k.tolist(), condition_mask, strict=True):
        rows.append(torch.where(given, x, q**0.5 * x + (1 - q) ** 0.5 * e))
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.condition, condition_as_in_the_seed),
        (checks.condition, condition_by_padding),
        (checks.condition, condition_loop),
        (checks.inpaint, loop_as_in_the_seed),
        (checks.inpaint, loop_that_clamps_first),
        (checks.inpaint, loop_by_multiplying),
        (checks.training_input, input_by_index),
        (checks.training_input, input_loop),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)


def float_mask(features, T, Da):
    data, mask = condition_as_in_the_seed(features, T, Da)
    return data, mask.float()


def data_only(features, T, Da):
    return condition_as_in_the_seed(features, T, Da)[0]


def too_short(features, T, Da):
    return condition_as_in_the_seed(features, T - 1, Da)


def loop_in_place(denoise_step, timesteps, condition_data, condition_mask, noise):
    for k in timesteps:
        noise[condition_mask] = condition_data[condition_mask]
        noise = denoise_step(noise, k)
    noise[condition_mask] = condition_data[condition_mask]
    return noise


@pytest.mark.parametrize(
    ("check", "function", "part"),
    [
        (checks.condition, lambda *a: condition_loop(*a)[::-1], "returns the two tensors in the other order"),
        (checks.condition, float_mask, "where a mask of True and False is wanted"),
        (checks.condition, data_only, "2 tensors are wanted"),
        (checks.condition, too_short, "(3, 6, 7) is wanted"),
        (checks.condition, lambda features, T, Da: features + T.shape, "AttributeError"),
        (checks.inpaint, loop_in_place, "changes its argument `noise`"),
    ],
)
def test_other_wrong_answers_are_explained(check, function, part):
    assert part in message_of(check, function)
