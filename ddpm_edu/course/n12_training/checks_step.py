"""Check of notebook 12: a training loop whose optimiser is written by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function


def train_by_hand(function: Function) -> None:
    """Checks `function(weights (D,), x (N, D), y (N,), rate, decay, steps) -> weights (D,)`: AdamW, linear.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    # Of the last one's gradients, 1e-8 is a part that counts: only there mean and sum differ.
    for seed, (N, D, rate, decay, steps, size) in enumerate(
        (
            (12, 3, 0.1, 0.3, 5, 1.0),
            (8, 4, 0.05, 0.0, 1, 1.0),
            (9, 2, 0.2, 0.5, 9, 1.0),
            (8, 3, 0.1, 0.1, 3, 1e-4),
        )
    ):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "weights": torch.randn(D, generator=generator),
                "x": size * torch.randn(N, D, generator=generator),
                "y": 2 * size * torch.randn(N, generator=generator),
                "rate": rate,
                "decay": decay,
                "steps": steps,
            }
        )
    check_function(
        "train_by_hand",
        function,
        _train,
        TRAINING_MISTAKES,
        cases,
        "This is all that optimizer.step() does.",
        tolerance=1e-4,
    )


def _train(
    weights: Tensor,
    x: Tensor,
    y: Tensor,
    rate: float,
    decay: float,
    steps: int,
    corrected: bool = True,
    accumulated: bool = False,
    coupled: bool = False,
    bare_decay: bool = False,
    sign: float = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    rooted: bool = True,
    summed: bool = False,
) -> Tensor:
    """The right loop; each option is a mistake. The gradient is written down, so that none is lost."""
    w, mean, square, gradient = weights.detach(), 0.0, 0.0, torch.zeros_like(weights)
    for t in range(1, steps + 1):
        new = 2 * x.mT @ (x @ w - y) / (1 if summed else len(x))  # (D,)
        gradient = gradient + new if accumulated else new
        if coupled:
            gradient = gradient + decay * w
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        m = mean / (1 - betas[0] ** t) if corrected else mean
        s = square / (1 - betas[1] ** t) if corrected else square
        shrunk = 1.0 if coupled else 1 - (decay if bare_decay else rate * decay)
        w = shrunk * w - sign * rate * m / ((s.sqrt() if rooted else s) + 1e-8)
    return w


TRAINING_MISTAKES = (
    Mistake(
        "adds each gradient to those of the steps before",
        lambda *a: _train(*a, accumulated=True),
        "That is what `backward()` without `zero_grad()` does. Each step needs the gradient of now.",
    ),
    Mistake(
        "goes uphill",
        lambda *a: _train(*a, sign=-1.0),
        "The gradient points to where the loss grows: subtract the step.",
    ),
    Mistake(
        "leaves out the correction of the first steps",
        lambda *a: _train(*a, corrected=False),
        "Both means begin at 0 and are too small at first: divide by 1 - 0.9**t and 1 - 0.999**t.",
    ),
    Mistake(
        "adds the decay to the gradient, as Adam with an L2 penalty does",
        lambda *a: _train(*a, coupled=True),
        "Then the decay is divided by the root as well. In AdamW it takes its share of the weight directly.",
    ),
    Mistake(
        "takes the decay without the learning rate",
        lambda *a: _train(*a, bare_decay=True),
        "The weight keeps 1 - rate * decay of itself in each step.",
    ),
    Mistake(
        "exchanges the two decays",
        lambda *a: _train(*a, betas=(0.999, 0.9)),
        "0.9 for the mean of the gradient, 0.999 for that of its square.",
    ),
    Mistake(
        "divides by the mean square, not by its root",
        lambda *a: _train(*a, rooted=False),
        "The root has the gradient's own unit: only then does its scale cancel.",
    ),
    Mistake(
        "takes the sum of the squared errors, not their mean",
        lambda *a: _train(*a, summed=True),
        "The loss is ((x @ weights - y) ** 2).mean(). AdamW cancels the factor N, but for the 1e-8.",
    ),
)
