"""Notebook 10's checks: right answers pass in any style (test_checks.py has the wrong ones)."""

import pytest
import torch
from einops import rearrange
from exercise_checks import assert_passes

from ddpm_edu.course import checks


def global_reshape(features, To):
    return features[:, :To].reshape(features.shape[0], -1)


def global_loop(features, To):
    return torch.cat([features[:, step] for step in range(To)], dim=-1)


def global_einops(features, To):
    return rearrange(features[:, :To], "B To Do -> B (To Do)")


def local_as_in_the_seed(features, To, T):
    local_cond = torch.zeros(size=(features.shape[0], T, features.shape[2]))
    local_cond[:, :To] = features[:, :To]
    return local_cond


def local_padded(features, To, T):
    return torch.nn.functional.pad(features[:, :To], (0, 0, 0, T - To))


def local_concatenated(features, To, T):
    B, _, Do = features.shape
    return torch.cat([features[:, :To], torch.zeros(B, T - To, Do)], dim=1)


def used_by_change(predict, features):
    before = predict(features)
    used = []
    for step in range(features.shape[1]):
        changed = features.clone()
        changed[:, step] = torch.randn_like(changed[:, step])
        used.append((predict(changed) != before).any())
    return torch.stack(used)


def used_with_rounding(predict, features):
    before = predict(features)
    used = []
    for step in range(features.shape[1]):
        changed = features.clone()
        changed[:, step] *= -3
        used.append(not torch.allclose(predict(changed), before))
    return torch.tensor(used)


def used_by_gradient(predict, features):
    features = features.clone().requires_grad_()
    answer = predict(features)
    weights = torch.linspace(1, 2, answer.numel()).reshape(answer.shape)  # so that nothing cancels
    (gradient,) = torch.autograd.grad((answer * weights).sum(), features)
    return (gradient != 0).any(dim=2).any(dim=0)


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.global_condition, global_reshape),
        (checks.global_condition, global_loop),
        (checks.global_condition, global_einops),
        (checks.local_condition, local_as_in_the_seed),
        (checks.local_condition, local_padded),
        (checks.local_condition, local_concatenated),
        (checks.observations_used, used_by_change),
        (checks.observations_used, used_with_rounding),
        (checks.observations_used, used_by_gradient),
    ],
    ids=lambda value: value.__name__,
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)
