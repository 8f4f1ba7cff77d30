"""Notebook 19's checks: right answers pass in any style."""

import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks


def score_row_by_row(epsilon, alpha_bar):
    return torch.stack([-row * (1 - float(a)) ** -0.5 for row, a in zip(epsilon, alpha_bar, strict=True)])


def weights_from_the_means(beta):
    """By the derivative of the mean in epsilon, squared, over twice the variance."""
    weights, left = [], 1 - beta[0]
    for b in beta[1:]:
        before, left = left, left * (1 - b)
        slope = b / ((1 - b) * (1 - left)) ** 0.5
        weights.append(slope**2 / (2 * b * (1 - before) / (1 - left)))
    return torch.stack(weights)


def ddim_as_ddpm_is_written(x, epsilon, here, there, eta, noise):
    sigma = eta * (((1 - there) / (1 - here)) ** 0.5) * ((1 - here / there) ** 0.5)
    direction = torch.sqrt(torch.relu(1 - there - sigma * sigma)) * epsilon
    return (there / here) ** 0.5 * (x - (1 - here) ** 0.5 * epsilon) + direction + sigma * noise


@pytest.mark.parametrize(
    ("check", "solution"),
    [
        (checks.score_from_noise, score_row_by_row),
        (checks.bound_weights, weights_from_the_means),
        (checks.ddim_with_eta, ddim_as_ddpm_is_written),
    ],
)
def test_right_answers_pass_in_any_style(check, solution, capsys):
    assert_passes(check, solution, capsys)
