"""The check of notebook 04's chain, which draws its own noise and so is judged by its statistics."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import (
    Arguments,
    CheckFailed,
    Function,
    Mistake,
    failure,
    outcome,
    refuse_no_answer,
    refuse_side_effects,
)

Scale = Callable[[Tensor, Tensor], Tensor]
"""From a step's beta and alpha_bar, both (), to what the step multiplies by."""

BETAS = torch.tensor([0.3, 0.1, 0.4, 0.2])  # (K,)
CLEAN_VALUE = 3.0
TOLERANCE = 0.03
"""Relative to a moment above 1: over five standard errors, with the 65,536 entries of `_chain_case`."""


def _chain_case() -> Arguments:
    return {"clean": torch.full((2048, 8, 4), CLEAN_VALUE), "betas": BETAS}


def forward_chain(function: Function) -> None:
    """Checks `function(clean (B, T, Da), betas (K,)) -> x (B, T, Da)` after all K steps, by its statistics.

    The function draws its own noise, so no two answers are equal; their mean and variance are known.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    exercise, case = "forward_chain", _chain_case()
    answer, again = outcome(function, case), outcome(function, case, seed=1)
    refuse_no_answer(exercise, answer)
    if isinstance(answer, BaseException):
        raise failure(
            exercise, f"It raises {type(answer).__name__}: {answer}", "clean is (B, T, Da), betas (K,)."
        )
    clean = case["clean"]
    if answer.shape != clean.shape:
        raise failure(
            exercise,
            f"It returns the shape {tuple(answer.shape)}; {tuple(clean.shape)} is wanted.",
            "Return only what is left after the last step: one trajectory for each sample.",
        )
    if not torch.isfinite(answer).all():
        raise failure(
            exercise, "Its answer holds nan or inf.", "Is a square root taken of a negative number?"
        )
    refuse_side_effects(exercise, function, case)
    if torch.equal(answer, clean):
        raise failure(
            exercise, "Your function returns the clean trajectory.", "Is `x` written back in the loop?"
        )
    _refuse_shared_noise(exercise, answer)
    if torch.equal(answer, again):
        raise failure(
            exercise,
            "The noise is not re-drawn: each call of your function gives the same.",
            "A seed or generator made inside the function starts again at every call. Leave it out.",
        )
    measured, right = _moments(answer), _moments(outcome(_chain, case))
    if _close(measured, right):
        print(f"{exercise}: correct. Mean and variance are those of the closed form.")
        return
    for mistake in CHAIN_MISTAKES:
        if _close(measured, _moments(outcome(mistake.function, case))):
            raise failure(exercise, f"Your function {mistake.name}.", mistake.hint)
    raise _unknown_moments(exercise, measured, right)


def _moments(x: Tensor) -> tuple[float, float]:
    """What is left of the clean value, and the variance."""
    return float(x.double().mean()) / CLEAN_VALUE, float(x.double().var())


def _close(measured: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) < TOLERANCE * max(1, abs(b)) for a, b in zip(measured, other, strict=True))


def _refuse_shared_noise(exercise: str, answer: Tensor) -> None:
    if float(answer.double().var()) < 1e-6:
        raise failure(
            exercise, "Your answer holds no noise.", "Draw some at every step: torch.randn_like(x)."
        )
    for axis, what in enumerate(("sample of the batch", "time step of a trajectory", "action dimension")):
        if float(answer.double().var(dim=axis).mean()) < 1e-6:
            raise failure(
                exercise,
                f"Every {what} gets the same noise.",
                "Each entry needs noise of its own: draw it in the shape of the trajectory, (B, T, Da).",
            )


def _unknown_moments(exercise: str, measured: tuple[float, float], right: tuple[float, float]) -> CheckFailed:
    return failure(
        exercise,
        f"After {len(BETAS)} steps {measured[0]:.2f} of the signal is left and the noise's variance is "
        f"{measured[1]:.2f}; {right[0]:.2f} and {right[1]:.2f} are right.",
        "Walk one step on paper: how much of x is kept, and how strong is the noise that is added?",
    )


def _walk(
    clean: Tensor,
    betas: Tensor,
    keep: Scale = lambda beta, alpha_bar: (1 - beta).sqrt(),
    add: Scale = lambda beta, alpha_bar: beta.sqrt(),
) -> Tensor:
    x = clean
    for beta, share in zip(betas, torch.cumprod(1 - betas, dim=0), strict=True):
        x = keep(beta, share) * x + add(beta, share) * torch.randn_like(x)  # (B, T, Da)
    return x


_chain = _walk


def _uniform_noise(clean: Tensor, betas: Tensor) -> Tensor:
    x = clean
    for beta in betas:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.rand_like(x)  # (B, T, Da)
    return x


def _one_noise(clean: Tensor, betas: Tensor) -> Tensor:
    x, noise = clean, torch.randn_like(clean)  # (B, T, Da)
    for beta in betas:
        x = (1 - beta).sqrt() * x + beta.sqrt() * noise
    return x


_ROOT_OF_BETA = "beta is the variance of the noise that a step adds; its factor is sqrt(beta)."
_ROOT_OF_ALPHA = "A step keeps 1 - beta of the variance, so x is multiplied by sqrt(1 - beta)."
_ONLY_ONE_STEP = (
    "alpha_bar sums up all steps; the chain walks them one by one, so each step takes its own beta."
)

CHAIN_MISTAKES = (
    Mistake(
        "uses one noise for all steps: it is not re-drawn",
        _one_noise,
        "The same noise adds up in one direction. Draw it inside the loop, fresh at every step.",
    ),
    Mistake(
        "draws uniform noise",
        _uniform_noise,
        "torch.rand lies in [0, 1) and its mean is 0.5; torch.randn draws from the normal distribution.",
    ),
    Mistake("adds noise scaled by beta", lambda x, b: _walk(x, b, add=lambda beta, _: beta), _ROOT_OF_BETA),
    Mistake(
        "multiplies x by 1 - beta, without the square root",
        lambda x, b: _walk(x, b, keep=lambda beta, _: 1 - beta),
        _ROOT_OF_ALPHA,
    ),
    Mistake(
        "takes no square roots",
        lambda x, b: _walk(x, b, lambda beta, _: 1 - beta, lambda beta, _: beta),
        f"{_ROOT_OF_ALPHA} {_ROOT_OF_BETA}",
    ),
    Mistake(
        "adds noise scaled by sqrt(1 - beta)",
        lambda x, b: _walk(x, b, add=lambda beta, _: (1 - beta).sqrt()),
        _ROOT_OF_BETA,
    ),
    Mistake(
        "swaps the two scales",
        lambda x, b: _walk(x, b, lambda beta, _: beta.sqrt(), lambda beta, _: (1 - beta).sqrt()),
        "With a small beta a step changes little: x keeps sqrt(1 - beta), which is close to 1.",
    ),
    Mistake(
        "does not shrink x",
        lambda x, b: _walk(x, b, keep=lambda beta, _: torch.ones(())),
        "Then the variance grows with every step. " + _ROOT_OF_ALPHA,
    ),
    Mistake(
        "adds noise that is not scaled",
        lambda x, b: _walk(x, b, add=lambda beta, _: torch.ones(())),
        _ROOT_OF_BETA,
    ),
    Mistake(
        "uses alpha_bar in every step",
        lambda x, b: _walk(x, b, lambda _, share: share.sqrt(), lambda _, share: (1 - share).sqrt()),
        _ONLY_ONE_STEP,
    ),
    Mistake(
        "scales the noise by sqrt(1 - alpha_bar) in every step",
        lambda x, b: _walk(x, b, add=lambda _, share: (1 - share).sqrt()),
        _ONLY_ONE_STEP,
    ),
    Mistake(
        "begins each step at the clean trajectory again, so that only the last one counts",
        lambda x, b: _walk(x, b[-1:]),
        "Each step begins where the one before ended: write x back.",
    ),
    Mistake(
        "leaves out the first step",
        lambda x, b: _walk(x, b[1:]),
        "k counts from 0: the first step is that of betas[0], and it counts.",
    ),
    Mistake(
        "leaves out the last step",
        lambda x, b: _walk(x, b[:-1]),
        "range(K) runs from 0 to K - 1 already: there are K betas and K steps.",
    ),
    Mistake("takes only the first step", lambda x, b: _walk(x, b[:1]), "Is `return` indented into the loop?"),
)
