"""Checks of notebook 12: the average of the weights, its decay, the learning rate, and known mistakes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function


def learning_rate_factor(function: Function) -> None:
    """Checks `function(step, warmup, steps) -> float`: what the learning rate is multiplied by.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    points = (
        (0, 4, 20),
        (3, 4, 20),
        (4, 4, 20),
        (9, 4, 20),
        (17, 4, 20),
        (20, 4, 20),
        (25, 4, 20),
        (7, 0, 9),
    )
    cases = [{"step": a, "warmup": b, "steps": c} for a, b, c in points]
    check_function(
        "learning_rate_factor",
        function,
        _learning_rate_factor,
        LEARNING_RATE_MISTAKES,
        cases,
        "Up in a line, down in half a cosine, and zero at the end.",
    )


def _learning_rate_factor(step: int, warmup: int, steps: int) -> float:
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / (steps - warmup))
    return 0.5 * (1 + math.cos(math.pi * progress))


def _progress(step: int, warmup: int, steps: int) -> float:
    return min(1.0, (step - warmup) / (steps - warmup))


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _factor(step: int, warmup: int, steps: int) -> float:
    return (step + 1) / (warmup + 1) if step < warmup else _half_cosine(_progress(step, warmup, steps))


LEARNING_RATE_MISTAKES = (
    Mistake(
        "has no warm-up",
        lambda step, warmup, steps: _half_cosine(min(1.0, step / steps)),
        "While step < warmup, the factor is (step + 1) / (warmup + 1).",
    ),
    Mistake(
        "starts the warm-up at 0",
        lambda s, w, n: s / w if s < w else _factor(s, w, n),
        "A first step with learning rate 0 changes nothing. Count from step + 1.",
    ),
    Mistake(
        "reaches 1 one step before the warm-up ends",
        lambda s, w, n: (s + 1) / w if s < w else _factor(s, w, n),
        "Divide by warmup + 1: step `warmup`, where the cosine begins, is the first with factor 1.",
    ),
    Mistake(
        "starts the cosine at step 0, so that the factor jumps down where the warm-up ends",
        lambda s, w, n: (s + 1) / (w + 1) if s < w else _half_cosine(min(1.0, s / n)),
        "Progress is counted from the end of the warm-up: (step - warmup) / (steps - warmup).",
    ),
    Mistake(
        "divides the progress by all steps, and never reaches zero",
        lambda s, w, n: (s + 1) / (w + 1) if s < w else _half_cosine(min(1.0, (s - w) / n)),
        "Only steps - warmup are left for the cosine.",
    ),
    Mistake(
        "falls in a straight line",
        lambda s, w, n: (s + 1) / (w + 1) if s < w else 1 - _progress(s, w, n),
        "Half a cosine: 0.5 * (1 + cos(pi * progress)).",
    ),
    Mistake(
        "stops at one half and never reaches zero",
        lambda s, w, n: (s + 1) / (w + 1) if s < w else _half_cosine(_progress(s, w, n) / 2),
        "Half a cosine is pi, from 1 to -1; then 0.5 * (1 + ...) ends at 0.",
    ),
    Mistake(
        "goes through a whole cosine: back at 1 in the end",
        lambda s, w, n: (s + 1) / (w + 1) if s < w else _half_cosine(2 * _progress(s, w, n)),
        "Half a period is pi, not 2 pi.",
    ),
    Mistake(
        "rises again after the last step",
        lambda s, w, n: (s + 1) / (w + 1) if s < w else _half_cosine((s - w) / (n - w)),
        "Hold the progress at 1 with min: past the end, the factor stays 0.",
    ),
)


def ema_update(function: Function) -> None:
    """Checks `function(average (R, C), weights (R, C), decay) -> average (R, C)`, a new tensor.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    cases = [
        {
            "average": torch.randn(2, 3, generator=generator),
            "weights": torch.randn(2, 3, generator=generator),
            "decay": torch.tensor(decay),
        }
        for decay in (0.9, 0.0, 0.25)
    ]
    check_function(
        "ema_update",
        function,
        _ema_update,
        EMA_MISTAKES,
        cases,
        "Much of the old average, a little of the new weights.",
    )


def _ema_update(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    return decay * average + (1 - decay) * weights


EMA_MISTAKES = (
    Mistake(
        "has the decay on the wrong side",
        lambda average, weights, decay: (1 - decay) * average + decay * weights,
        "A decay of 0.9 keeps nine tenths of the old average.",
    ),
    Mistake(
        "adds the weights in full",
        lambda average, weights, decay: decay * average + weights,
        "The two shares must sum to 1, or the average grows: multiply the weights by 1 - decay.",
    ),
    Mistake(
        "forgets to shrink the old average",
        lambda average, weights, decay: average + (1 - decay) * weights,
        "The two shares must sum to 1: multiply the average by the decay.",
    ),
    Mistake(
        "multiplies both by the decay",
        lambda average, weights, decay: decay * (average + weights),
        "The weights' share is 1 - decay.",
    ),
    Mistake(
        "takes the middle of both, whatever the decay",
        lambda average, weights, decay: (average + weights) / 2,
        "Use `decay`: it says how much of the old average stays.",
    ),
    Mistake(
        "returns the weights as they are",
        lambda average, weights, decay: weights,
        "That is no average. Keep the share `decay` of the old one.",
    ),
    Mistake(
        "moves away from the weights",
        lambda average, weights, decay: average - (1 - decay) * (weights - average),
        "A sign: the step goes from the average towards the weights.",
    ),
)


def ema_decay(function: Function) -> None:
    """Checks `function(updates, power, max_decay) -> float`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    points = (
        (0, 0.75, 0.9999),
        (1, 0.75, 0.9999),
        (99, 0.75, 0.9999),
        (1000, 0.75, 0.9),
        (10, 0.5, 0.99),
        (10**9, 0.75, 0.99999),
    )
    cases = [{"updates": n, "power": power, "max_decay": ceiling} for n, power, ceiling in points]
    check_function(
        "ema_decay",
        function,
        _ema_decay,
        DECAY_MISTAKES,
        cases,
        "A short memory at first, a long one later.",
        tolerance=1e-6,
    )


def _ema_decay(updates: int, power: float, max_decay: float) -> float:
    return min(max_decay, 1 - (1 + updates) ** -power)


DECAY_MISTAKES = (
    Mistake(
        "returns the share of the new weights",
        lambda n, power, ceiling: (1 + n) ** -power,
        "The decay is the share that stays: 1 minus that.",
    ),
    Mistake(
        "has no ceiling",
        lambda n, power, ceiling: 1 - (1 + n) ** -power,
        "min(max_decay, ...).",
    ),
    Mistake(
        "has a floor where it should have a ceiling",
        lambda n, power, ceiling: max(ceiling, 1 - (1 + n) ** -power),
        "min takes the smaller of the two: no more than max_decay.",
    ),
    Mistake(
        "ignores the power",
        lambda n, power, ceiling: min(ceiling, 1 - 1 / (1 + n)),
        "1 - 1/(1 + n) is the mean of everything so far. The exponent is -power.",
    ),
    Mistake(
        "has the exponent's sign wrong",
        lambda n, power, ceiling: min(ceiling, 1 - (1 + n) ** power),
        "That falls below zero. The exponent is negative: (1 + n) ** -power shrinks.",
    ),
    Mistake(
        "starts counting at 1",
        lambda n, power, ceiling: min(ceiling, 1 - (2 + n) ** -power),
        "At n = 0 the decay is 0: the first average is a copy of the weights.",
    ),
    Mistake(
        "divides by zero at the first update",
        lambda n, power, ceiling: min(ceiling, 1 - n**-power),
        "0 to a negative power does not exist: it is 1 + n.",
    ),
    Mistake(
        "returns the largest decay from the start",
        lambda n, power, ceiling: ceiling,
        "With 0.9999 at once, the random first weights would stay in the average for thousands of steps.",
    ),
)
