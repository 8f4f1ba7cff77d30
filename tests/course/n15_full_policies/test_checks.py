"""Notebook 15's checks: right answers pass in any style (test_checks.py has the wrong ones)."""

import itertools
import math

import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks
from ddpm_edu.course.n15_full_policies import checks as full_policies


def agreement_in_a_loop(losses, rates):
    pairs = list(itertools.combinations(range(len(losses)), 2))
    return torch.tensor(
        sum(bool((losses[i] - losses[j]) * (rates[i] - rates[j]) < 0) for i, j in pairs) / len(pairs)
    )


def needed_in_a_loop(rate, half_width, z):
    pairs = zip(rate.tolist(), half_width.tolist(), strict=True)
    return torch.tensor([math.ceil((z.item() * math.sqrt(p * (1 - p)) / w) ** 2) for p, w in pairs])


@pytest.mark.parametrize(
    ("check", "solution"),
    [
        (checks.training_memory, lambda parameters: parameters * 4 * (1 + 1 + 2 + 1)),
        (checks.loss_agreement, agreement_in_a_loop),
        (checks.loss_agreement, full_policies._agreement),
        (checks.episodes_needed, needed_in_a_loop),
        (checks.episodes_needed, full_policies._needed),
    ],
)
def test_right_answers_pass_in_any_style(check, solution, capsys):
    assert_passes(check, solution, capsys)
