"""Notebook 12's loop: right answers pass in any style."""

import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks


def with_torch(weights, x, y, rate, decay, steps):
    parameter = torch.nn.Parameter(weights.clone())
    optimizer = torch.optim.AdamW([parameter], lr=rate, weight_decay=decay)
    for _ in range(steps):
        optimizer.zero_grad()
        (x @ parameter - y).square().mean().backward()
        optimizer.step()
    return parameter.detach()


def with_accumulated_gradients_cleared(weights, x, y, rate, decay, steps):
    w = weights.clone().requires_grad_(True)
    m, s = [0.0] * len(w), [0.0] * len(w)
    for t in range(1, steps + 1):
        torch.nn.functional.mse_loss(x @ w, y).backward()
        with torch.no_grad():
            for i, g in enumerate(w.grad.tolist()):
                m[i] += 0.1 * (g - m[i])
                s[i] += 0.001 * (g * g - s[i])
                w[i] -= rate * decay * w[i]
                w[i] -= rate * (m[i] / (1 - 0.9**t)) / ((s[i] / (1 - 0.999**t)) ** 0.5 + 1e-8)
        w.grad = None
    return w.detach()


@pytest.mark.parametrize("solution", [with_torch, with_accumulated_gradients_cleared])
def test_right_answers_pass_in_any_style(solution, capsys):
    assert_passes(checks.train_by_hand, solution, capsys)
