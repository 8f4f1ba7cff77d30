"""Checks of notebook 15: what training costs, what the loss says about success, how many episodes."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function


def training_memory(function: Function) -> None:
    """Checks `function(parameters (N,)) -> bytes (N,)`: float32 training with AdamW and a moving average.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    counts = ([4583303.0, 65878279.0, 1.0], [11700.0])
    cases = [{"parameters": torch.tensor(one)} for one in counts]
    mistakes = [Mistake(name, lambda p, c=copies: c * p, hint) for name, copies, hint in MEMORY]
    check_function(
        "training_memory", function, _training_memory, mistakes, cases, "Activations come on top of it."
    )


def _training_memory(parameters: Tensor) -> Tensor:
    weights, gradients, adam, average = 1, 1, 2, 1
    return 4 * (weights + gradients + adam + average) * parameters  # (N,)


_COPIES = "Count the copies: weights, gradients, AdamW's two averages, and the moving average of the weights."
MEMORY = (
    ("counts the weights only", 4, _COPIES),
    ("counts weights and gradients only", 8, _COPIES),
    ("counts three copies", 12, "AdamW keeps two numbers for each weight. " + _COPIES),
    ("forgets the moving average of the weights", 16, _COPIES),
    ("counts six copies", 24, "The learning rate and the schedule are single numbers. " + _COPIES),
    ("forgets that a float32 has 4 bytes", 5, "The copies are right. How many bytes has a float32?"),
    ("takes 8 bytes for a number", 40, "float32 has 32 bits. How many bytes are those?"),
)


def loss_agreement(function: Function) -> None:
    """Checks `function(losses (N,), rates (N,)) -> ()`: the share of pairs that the loss orders rightly.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [
        {"losses": torch.tensor([0.04, 0.05, 0.02, 0.07]), "rates": torch.tensor([0.9, 0.2, 0.6, 0.5])},
        {"losses": torch.tensor([0.3, 0.1, 0.2]), "rates": torch.tensor([0.1, 0.9, 0.5])},
        {
            "losses": torch.rand(6, generator=torch.Generator().manual_seed(5)),
            "rates": torch.linspace(0, 1, 6),
        },
    ]
    mistakes = [Mistake(name, wrong, hint) for name, wrong, hint in AGREEMENT]
    check_function(
        "loss_agreement", function, _agreement, mistakes, cases, "One half is what a coin would reach."
    )


def _right(losses: Tensor, rates: Tensor) -> Tensor:
    return (losses[:, None] < losses) & (rates[:, None] > rates)  # (N, N), each pair once


def _agreement(losses: Tensor, rates: Tensor) -> Tensor:
    right = (losses[:, None] < losses) & (rates[:, None] > rates)  # (N, N), each pair once
    n = len(losses)
    return right.sum() / (n * (n - 1) / 2)  # ()


def _agreeing(losses: Tensor, rates: Tensor) -> Tensor:
    """Entries (N, N) where both comparisons come out alike: each pair twice, and the diagonal."""
    return ((losses[:, None] < losses) == (rates[:, None] > rates)).sum()  # ()


def _neighbours(losses: Tensor, rates: Tensor) -> Tensor:
    return ((losses[:-1] < losses[1:]) == (rates[:-1] > rates[1:])).float().mean()  # ()


def _correlation(losses: Tensor, rates: Tensor) -> Tensor:
    return torch.corrcoef(torch.stack([losses, rates]))[0, 1]  # ()


_DIAGONAL = "On the diagonal a policy meets itself, which agrees always and is no pair: leave it out."
AGREEMENT = (
    (
        "counts the pairs in which the larger loss has the larger rate",
        lambda x, r: 1 - _agreement(x, r),
        "A policy should succeed more often when its loss is *smaller*.",
    ),
    (
        "divides by all N² combinations",
        lambda x, r: _right(x, r).float().mean(),
        "A policy is no pair with itself, and each pair counts once: N(N-1)/2.",
    ),
    (
        "counts each policy as a pair with itself, in the mean over all N²",
        lambda x, r: _agreeing(x, r) / len(x) ** 2,
        _DIAGONAL,
    ),
    (
        "counts each policy as a pair with itself, in a sum divided by N(N-1)",
        lambda x, r: _agreeing(x, r) / (len(x) * (len(x) - 1)),
        _DIAGONAL,
    ),
    (
        "counts each pair twice and each policy as a pair with itself",
        lambda x, r: _agreeing(x, r) / (len(x) * (len(x) - 1) / 2),
        _DIAGONAL + " And (i, j) is the same pair as (j, i).",
    ),
    (
        "lets each policy agree with itself, by <= and >=",
        lambda x, r: ((x[:, None] <= x) & (r[:, None] >= r)).sum() / (len(x) * (len(x) - 1) / 2),
        _DIAGONAL,
    ),
    (
        "divides by N(N-1), each pair twice",
        lambda x, r: _right(x, r).sum() / (len(x) * (len(x) - 1)),
        "Each pair is counted once above and must count once below: N(N-1)/2.",
    ),
    (
        "gives the number of pairs, not their share",
        lambda x, r: _right(x, r).sum().float(),
        "Divide by the number of pairs, N(N-1)/2.",
    ),
    ("looks at neighbours only", _neighbours, "All pairs count, not only those that stand side by side."),
    (
        "gives the correlation",
        _correlation,
        "Correlation asks for a straight line. Here only the order counts: which of two is better?",
    ),
)


def episodes_needed(function: Function) -> None:
    """Checks `function(rate (N,), half_width (N,), z ()) -> whole numbers (N,)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [
        {
            "rate": torch.tensor([0.67, 0.97, 0.5]),
            "half_width": torch.tensor([0.1, 0.02, 0.01]),
            "z": torch.tensor(1.96),
        },
        {
            "rate": torch.tensor([0.9, 0.5]),
            "half_width": torch.tensor([0.05, 0.3]),
            "z": torch.tensor(2.576),
        },
    ]
    mistakes = [Mistake(name, wrong, hint) for name, wrong, hint in NEEDED]
    check_function(
        "episodes_needed", function, _needed, mistakes, cases, "Half the width costs four times the episodes."
    )


def _needed(rate: Tensor, half_width: Tensor, z: Tensor) -> Tensor:
    return (z**2 * rate * (1 - rate) / half_width**2).ceil()  # (N,)


NEEDED = (
    (
        "does not round up",
        lambda p, w, z: z**2 * p * (1 - p) / w**2,
        "Episodes are whole, and one too few does not reach the width: `ceil`.",
    ),
    (
        "rounds to the nearest number",
        lambda p, w, z: (z**2 * p * (1 - p) / w**2).round(),
        "One episode too few does not reach the width: `ceil`.",
    ),
    (
        "takes the half width for the whole",
        lambda p, w, z: (4 * z**2 * p * (1 - p) / w**2).ceil(),
        "half_width is the distance from the middle to an end already.",
    ),
    (
        "does not square z and the width",
        lambda p, w, z: (z * p * (1 - p) / w).ceil(),
        "half_width = z·sqrt(p(1-p)/n): square both sides before solving for n.",
    ),
    (
        "does not square the width",
        lambda p, w, z: (z**2 * p * (1 - p) / w).ceil(),
        "half_width = z·sqrt(p(1-p)/n): square both sides before solving for n.",
    ),
    (
        "leaves z out",
        lambda p, w, z: (p * (1 - p) / w**2).ceil(),
        "That is one standard deviation; 95 % needs z of them.",
    ),
    (
        "forgets 1 - p",
        lambda p, w, z: (z**2 * p / w**2).ceil(),
        "One success or failure has the variance p(1-p).",
    ),
)
