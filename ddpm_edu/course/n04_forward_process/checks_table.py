"""Check of notebook 04: three schedules in one function."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def noise_table(function: Function) -> None:
    """Checks `function(kind, K) -> table (K, 3): beta, alpha_bar, signal to noise`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {"kind": "linear", "K": 12},
        {"kind": "scaled_linear", "K": 9},
        {"kind": "squared_cosine", "K": 10},
        {"kind": "squared_cosine", "K": 4},
    ]
    check_function(
        "noise_table",
        function,
        _noise_table,
        NOISE_TABLE_MISTAKES,
        cases,
        "Three schedules, and what each leaves of the signal.",
        tolerance=4e-4,  # 1 - alpha_bar in float32 keeps four digits at the first step
    )


def _noise_table(
    kind: str,
    K: int,
    cap: bool = True,
    squared: bool = True,
    product: bool = True,
    amplitudes: bool = False,
    roots: bool = True,
    curve_is_alpha_bar: bool = False,
    offset: float = 0.008,
    one_over: bool = False,
    without_end: bool = False,
) -> Tensor:
    """The right table; each option is a mistake."""
    u = torch.arange(K + 1, dtype=torch.float64) / K  # (K+1,)
    curve = torch.cos((u + offset) / (1 + offset) * math.pi / 2) ** (2 if squared else 1)
    if kind == "linear":
        beta = torch.linspace(1e-4, 0.02, K, dtype=torch.float64)
    elif kind == "scaled_linear":
        beta = torch.linspace(1e-4**0.5, 0.02**0.5, K, dtype=torch.float64) ** 2
        if not roots:
            beta = torch.linspace(1e-4, 0.02, K, dtype=torch.float64) ** 2
    else:
        beta = 1 - curve[1:] / curve[:-1]
        beta = beta.clamp(max=0.999) if cap else beta
    if without_end and kind != "squared_cosine":
        power = 1 if kind == "linear" else 2
        ends = 1e-4 ** (1 / power), 0.02 ** (1 / power)
        beta = torch.linspace(*ends, K + 1, dtype=torch.float64)[:-1] ** power
    alpha_bar = (1 - beta).cumprod(dim=0) if product else 1 - beta.cumsum(dim=0)
    if curve_is_alpha_bar and kind == "squared_cosine":
        alpha_bar = curve[1:]
    ratio = (1 if one_over else alpha_bar) / (1 - alpha_bar)
    return torch.stack([beta, alpha_bar, ratio.abs().sqrt() if amplitudes else ratio], dim=1)


NOISE_TABLE_MISTAKES = (
    Mistake(
        "does not cap the last beta",
        lambda *a: _noise_table(*a, cap=False),
        "The curve ends at 0, so the last beta would be 1: clamp(max=0.999).",
    ),
    Mistake(
        "takes the curve itself for alpha-bar",
        lambda *a: _noise_table(*a, curve_is_alpha_bar=True),
        "The betas come from the curve, the cap goes on them, and alpha-bar comes from the betas.",
    ),
    Mistake(
        "leaves out the square of the cosine",
        lambda *a: _noise_table(*a, squared=False),
        "cos(...) ** 2.",
    ),
    Mistake(
        "leaves out the 0.008",
        lambda *a: _noise_table(*a, offset=0.0),
        "(u + 0.008) / 1.008: without it the first betas are almost nothing.",
    ),
    Mistake(
        "subtracts the betas instead of multiplying what is left",
        lambda *a: _noise_table(*a, product=False),
        "Each step keeps a share 1 - beta of what there is: a running product.",
    ),
    Mistake(
        "squares betas that grow evenly",
        lambda *a: _noise_table(*a, roots=False),
        'For "scaled_linear" the roots of the betas grow evenly, from 1e-4 ** 0.5 on.',
    ),
    Mistake(
        "gives the ratio of amplitudes",
        lambda *a: _noise_table(*a, amplitudes=True),
        "Signal to noise is a ratio of variances: alpha_bar / (1 - alpha_bar), no root.",
    ),
    Mistake(
        "divides 1 by the noise, not the signal",
        lambda *a: _noise_table(*a, one_over=True),
        "alpha_bar / (1 - alpha_bar).",
    ),
    Mistake(
        "stops one step before 0.02",
        lambda *a: _noise_table(*a, without_end=True),
        "Both ends are reached: the last beta of the first two schedules is 0.02.",
    ),
)
