"""Notebook 14's checks: right answers pass in any style (test_checks.py has the wrong ones)."""

import math

import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks
from ddpm_edu.course.n14_rollouts import checks as evaluation
from ddpm_edu.simulation.intervals import wilson_interval


def loop_with_tensors(observation, step, predict, To, Ta, max_steps):
    history = observation.repeat(To, 1)
    actions, queue = [], []
    while len(actions) < max_steps:
        if not queue:
            queue = list(predict(history)[To - 1 :][:Ta])
        actions.append(queue.pop(0))
        observation, done = step(actions[-1])
        history = torch.cat([history[1:], observation[None]])
        if done:
            break
    return torch.stack(actions)


def wilson_from_the_package(successes, episodes, z):
    confidence = 2 * torch.distributions.Normal(0, 1).cdf(z).item() - 1
    return torch.tensor(
        [
            wilson_interval(int(k), int(n), confidence)
            for k, n in zip(successes.tolist(), episodes.tolist(), strict=True)
        ]
    )


def wilson_by_roots(successes, episodes, z):
    """The two p at which the observed rate is z deviations away: roots of a quadratic."""
    rate = successes / episodes
    a, b, c = 1 + z**2 / episodes, -(2 * rate + z**2 / episodes), rate**2
    root = (b**2 - 4 * a * c).clamp(min=0).sqrt()
    return torch.stack([(-b - root) / (2 * a), (-b + root) / (2 * a)], dim=1)


def paired_by_enumeration(first, second):
    n, k = int((first != second).sum()), int((first & ~second).sum())
    at_least = [i for i in range(n + 1) if abs(i - n / 2) >= abs(k - n / 2)]
    return torch.tensor(sum(math.comb(n, i) for i in at_least) / 2**n)


@pytest.mark.parametrize(
    ("check", "solution"),
    [
        (checks.receding_horizon, evaluation._Loop()),
        (checks.receding_horizon, loop_with_tensors),
        (checks.wilson, wilson_from_the_package),
        (checks.wilson, wilson_by_roots),
        (checks.paired_p_value, paired_by_enumeration),
    ],
)
def test_right_answers_pass_in_any_style(check, solution, capsys):
    assert_passes(check, solution, capsys)
