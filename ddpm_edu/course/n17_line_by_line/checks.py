"""Checks of notebook 17: the outline's formula, the transformer's memory, a layer with its norms first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function
from ddpm_edu.diffusion.schedule import make_noise_schedule

# ------------------------------------------------------------------------------------------------
# alpha, gamma and sigma
# ------------------------------------------------------------------------------------------------


def outline_coefficients(function: Function) -> None:
    """Checks `function(beta (K,), k) -> (3,)`: the alpha, gamma and sigma of one denoising step.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "outline_coefficients",
        function,
        _coefficients,
        COEFFICIENT_MISTAKES,
        [{"beta": make_noise_schedule(K).beta, "k": k} for K, k in ((100, 60), (100, 7), (20, 12))],
        "The outline's three letters are DDPM's own numbers.",
        tolerance=1e-5,
    )


def _parts(beta: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """beta, alpha and alpha_bar of step k, and alpha_bar of the step before."""
    alpha_bar = (1 - beta.double()).cumprod(dim=0)
    return beta[k].double(), 1 - beta[k].double(), alpha_bar[k], alpha_bar[k - 1]


def _three(alpha: Tensor, gamma: Tensor, sigma: Tensor) -> Tensor:
    return torch.stack([alpha, gamma, sigma])


def _coefficients(beta: Tensor, k: int) -> Tensor:
    b, a, bar, before = _parts(beta, k)
    return _three(a**-0.5, b / (1 - bar) ** 0.5, ((1 - before) / (1 - bar) * b) ** 0.5)


def _with(beta: Tensor, k: int, **changed: object) -> Tensor:
    alpha, gamma, sigma = _coefficients(beta, k)
    values = {"alpha": alpha, "gamma": gamma, "sigma": sigma} | changed
    return _three(values["alpha"], values["gamma"], values["sigma"])


COEFFICIENT_MISTAKES = (
    Mistake(
        "takes 1 - beta for the outline's alpha",
        lambda beta, k: _with(beta, k, alpha=_parts(beta, k)[1]),
        "Before the bracket stands what makes x larger again: 1 / sqrt(1 - beta_k).",
    ),
    Mistake(
        "multiplies by sqrt(1 - beta) where it must divide",
        lambda beta, k: _with(beta, k, alpha=_parts(beta, k)[1] ** 0.5),
        "The forward step multiplied by sqrt(1 - beta_k); the way back divides by it.",
    ),
    Mistake(
        "divides by the root of alpha_bar, as if it went to the clean trajectory at once",
        lambda beta, k: _with(beta, k, alpha=_parts(beta, k)[2] ** -0.5),
        "One step undoes one step: 1 / sqrt(1 - beta_k), of this k only.",
    ),
    Mistake(
        "subtracts beta times the noise",
        lambda beta, k: _with(beta, k, gamma=_parts(beta, k)[0]),
        "epsilon is scaled to variance 1; in x_k it stands with sqrt(1 - alpha_bar_k). Divide by that.",
    ),
    Mistake(
        "subtracts all of the noise",
        lambda beta, k: _with(beta, k, gamma=(1 - _parts(beta, k)[2]) ** 0.5),
        "That would jump to the clean trajectory. One step takes away beta_k / sqrt(1 - alpha_bar_k) of it.",
    ),
    Mistake(
        "returns the variance of the fresh noise, not its deviation",
        lambda beta, k: _with(beta, k, sigma=_coefficients(beta, k)[2] ** 2),
        "N(0, sigma² I): sigma is the square root.",
    ),
    Mistake(
        "takes beta for the variance of the fresh noise",
        lambda beta, k: _with(beta, k, sigma=_parts(beta, k)[0] ** 0.5),
        "A fair choice (Ho et al. tried it), but not that of the policies here: 'fixed_small', the variance "
        "of x_{k-1} when x_k and x_0 are known.",
    ),
)


# ------------------------------------------------------------------------------------------------
# the memory
# ------------------------------------------------------------------------------------------------


def condition_tokens(function: Function) -> None:
    """Checks `function(time_token, obs_tokens, cond_pos_emb) -> (B, 1+S, E)`.

    Axes: time_token (B, 1, E), obs_tokens (B, S, E) and cond_pos_emb (1, L, E).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, S, E, T_cond) in enumerate(((3, 2, 4, 3), (2, 3, 5, 6))):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "time_token": torch.randn(B, 1, E, generator=generator),
                "obs_tokens": torch.randn(B, S, E, generator=generator),
                "cond_pos_emb": torch.randn(1, T_cond, E, generator=generator),
            }
        )
    check_function(
        "condition_tokens",
        function,
        _tokens,
        TOKEN_MISTAKES,
        cases,
        "The step first, then what was seen, and each knows its place.",
    )


def _tokens(time: Tensor, obs: Tensor, position: Tensor) -> Tensor:
    tokens = torch.cat([time, obs], dim=1)  # (B, 1+S, E)
    return tokens + position[:, : tokens.shape[1]]


TOKEN_MISTAKES = (
    Mistake(
        "leaves the positions out",
        lambda t, o, p: torch.cat([t, o], dim=1),
        "Attention does not know order: without positions, earlier and later observation look alike.",
    ),
    Mistake(
        "gives a place to the observations only",
        lambda t, o, p: torch.cat([t, o + p[:, : o.shape[1]]], dim=1),
        "The step's token has place 0, and the first observation place 1: join first, then add.",
    ),
    Mistake(
        "puts the diffusion step last",
        lambda t, o, p: torch.cat([o, t], dim=1) + p[:, : o.shape[1] + 1],
        "The memory mask lets everybody see column 0: the step stands first.",
    ),
    Mistake(
        "takes the last places of cond_pos_emb",
        lambda t, o, p: torch.cat([t, o], dim=1) + p[:, p.shape[1] - o.shape[1] - 1 :],
        "With fewer tokens than places, they stand in the first ones: cond_pos_emb[:, :n].",
    ),
    Mistake(
        "gives all tokens the same place",
        lambda t, o, p: torch.cat([t, o], dim=1) + p[:, :1],
        "p[:, :1] is one place, spread over all. Each token gets its own row.",
    ),
    Mistake(
        "adds the step to every observation",
        lambda t, o, p: (o + t) + p[:, : o.shape[1]],
        "So it is in many image models, but here the step is a token of its own.",
    ),
)


# ------------------------------------------------------------------------------------------------
# norm_first
# ------------------------------------------------------------------------------------------------


def pre_norm(function: Function) -> None:
    """Checks `function(x, attend, expand, contract) -> (B, N, E)`: one layer, its norms first.

    Axes: x (B, N, E), attend (N, N), expand (E, 4E) and contract (4E, E).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, N, E) in enumerate(((2, 5, 4), (3, 3, 6))):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "x": 3 * torch.randn(B, N, E, generator=generator) + 1,
                "attend": torch.randn(N, N, generator=generator).softmax(dim=1),
                "expand": torch.randn(E, 4 * E, generator=generator),
                "contract": 0.5 * torch.randn(4 * E, E, generator=generator),
            }
        )
    check_function(
        "pre_norm",
        function,
        _pre_norm,
        PRE_NORM_MISTAKES,
        cases,
        "The way around stays untouched, through any number of layers.",
    )


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _think(x: Tensor, expand: Tensor, contract: Tensor) -> Tensor:
    return F.gelu(x @ expand) @ contract


def _pre_norm(x: Tensor, attend: Tensor, expand: Tensor, contract: Tensor) -> Tensor:
    x = x + attend @ _norm(x)
    return x + _think(_norm(x), expand, contract)


PRE_NORM_MISTAKES = (
    Mistake(
        "puts the norms last, as norm_first=False does",
        lambda x, a, e, c: _norm((y := _norm(x + a @ x)) + _think(y, e, c)),
        "Normalise what goes *into* each part, and leave x + … alone.",
    ),
    Mistake(
        "leaves the norms out",
        lambda x, a, e, c: (y := x + a @ x) + _think(y, e, c),
        "Each part gets a normalised copy: F.layer_norm(x, x.shape[-1:]).",
    ),
    Mistake(
        "normalises the way around as well",
        lambda x, a, e, c: (y := _norm((z := _norm(x)) + a @ z)) + _think(y, e, c),
        "x itself is added, not its norm: x = x + part(norm(x)).",
    ),
    Mistake(
        "has no way around",
        lambda x, a, e, c: _think(_norm(a @ _norm(x)), e, c),
        "Each part's result is *added* to what went in.",
    ),
    Mistake(
        "normalises once and uses it for both parts",
        lambda x, a, e, c: x + a @ (n := _norm(x)) + _think(n, e, c),
        "The second part sees x after the first one; it needs a norm of its own.",
    ),
    Mistake(
        "thinks first and attends afterwards",
        lambda x, a, e, c: (y := x + _think(_norm(x), e, c)) + a @ _norm(y),
        "Attention comes first, then the two linear maps.",
    ),
    Mistake(
        "normalises over the tokens",
        lambda x, a, e, c: (
            (y := x + a @ F.layer_norm(x.mT, x.shape[1:2]).mT)
            + _think(F.layer_norm(y.mT, y.shape[1:2]).mT, e, c)
        ),
        "The norm is over the features of each token, the last axis.",
    ),
)
