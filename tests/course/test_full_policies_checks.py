"""Notebook 15's checks: each known mistake gets its own message, and right answers pass in any style."""

import itertools
import math

import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks import full_policies
from ddpm_edu.course.diagnosis import CheckFailed


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
def test_right_answers_pass_however_they_are_written(check, solution, capsys):
    check(solution)
    assert "correct" in capsys.readouterr().out


MISTAKES = [
    *((checks.training_memory, name, lambda p, c=copies: c * p) for name, copies, _ in full_policies.MEMORY),
    *((checks.loss_agreement, name, wrong) for name, wrong, _ in full_policies.AGREEMENT),
    *((checks.episodes_needed, name, wrong) for name, wrong, _ in full_policies.NEEDED),
]


@pytest.mark.parametrize(("check", "name", "function"), MISTAKES, ids=[name for _, name, _ in MISTAKES])
def test_each_known_mistake_is_named(check, name, function):
    with pytest.raises(CheckFailed) as caught:
        check(function)
    assert f"Your function {name}" in str(caught.value)


def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize("check", [checks.training_memory, checks.loss_agreement, checks.episodes_needed])
@pytest.mark.parametrize("function", [stub, lambda *_: None, lambda *_: torch.tensor(0.5)])
def test_a_stub_none_and_a_constant_fail(check, function):
    with pytest.raises(CheckFailed, match="not yet"):
        check(function)
