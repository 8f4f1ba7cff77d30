"""Checks of notebook 07: the diffusion step's embedding and the horizon that fits, and known mistakes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function

# ------------------------------------------------------------------------------------------------
# the diffusion step's embedding
# ------------------------------------------------------------------------------------------------


def sinusoidal_embedding(function: Function) -> None:
    """Checks `function(timestep (B,), dim) -> (B, dim)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [
        {"timestep": torch.tensor([0, 1, 7, 50, 99]), "dim": 16},
        {"timestep": torch.tensor([3, 80]), "dim": 6},
    ]
    check_function(
        "sinusoidal_embedding",
        function,
        _sinusoidal_embedding,
        EMBEDDING_MISTAKES,
        cases,
        "Each step has a vector of its own, and neighbours have similar ones.",
    )


def _sinusoidal_embedding(timestep: Tensor, dim: int) -> Tensor:
    i = torch.arange(dim // 2)  # (dim/2,)
    frequency = 10000.0 ** (-i / (dim // 2 - 1))  # (dim/2,)
    angle = timestep[:, None] * frequency[None, :]  # (B, dim/2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)  # (B, dim)


def _angles(timestep: Tensor, dim: int, sign: float = -1, last: int = 1) -> Tensor:
    half = int(dim) // 2
    exponent = sign * math.log(10000) * torch.arange(half) / (half - last)
    return timestep[:, None] * exponent.exp()  # (B, dim/2)


def _sines_and_cosines(angle: Tensor) -> Tensor:
    return torch.cat([angle.sin(), angle.cos()], dim=-1)  # (B, dim)


def _even_wavelengths(timestep: Tensor, dim: int) -> Tensor:
    return _sines_and_cosines(timestep[:, None] / torch.linspace(1, 10000, int(dim) // 2))


def _interleaved(timestep: Tensor, dim: int) -> Tensor:
    angle = _angles(timestep, dim)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # (B, dim)


EMBEDDING_MISTAKES = (
    Mistake(
        "returns the angles, without sine and cosine",
        _angles,
        "An angle grows without end with k. Its sine and cosine stay between -1 and 1.",
    ),
    Mistake(
        "puts the cosines before the sines",
        lambda k, dim: _sines_and_cosines(_angles(k, dim)).roll(int(dim) // 2, dims=1),
        "First all sines, then all cosines. A network could learn either; trained weights expect this.",
    ),
    Mistake(
        "alternates sines and cosines",
        _interleaved,
        "That is the order of Vaswani et al. 2017. Here all sines come first: torch.cat, not torch.stack.",
    ),
    Mistake(
        "divides i by dim/2, not by dim/2 - 1",
        lambda k, dim: _sines_and_cosines(_angles(k, dim, last=0)),
        "The last frequency is 1/10000 exactly: i runs up to dim/2 - 1, and i/(dim/2 - 1) reaches 1.",
    ),
    Mistake(
        "lets the frequencies grow, from 1 to 10000",
        lambda k, dim: _sines_and_cosines(_angles(k, dim, sign=1)),
        "The exponent is negative: the fastest frequency is 1, the others are slower.",
    ),
    Mistake(
        "takes powers of e, not of 10000",
        lambda k, dim: _sines_and_cosines(
            k[:, None] * (-torch.arange(int(dim) // 2) / (int(dim) // 2 - 1)).exp()
        ),
        "The slowest clock must not come round within 100 steps: 10000 ** exponent.",
    ),
    Mistake(
        "spaces the wavelengths evenly, not on a logarithmic scale",
        _even_wavelengths,
        "From one entry to the next the frequency shrinks by the same factor: exponents are evenly spaced.",
    ),
    Mistake(
        "multiplies the angles by 2 pi",
        lambda k, dim: _sines_and_cosines(2 * math.pi * _angles(k, dim)),
        "At frequency 1 every integer k would give the same sine, 0.",
    ),
    Mistake(
        "returns the sines only",
        lambda k, dim: _angles(k, dim).sin(),
        "A sine alone does not tell where in its period it is. Append the cosines: dim entries in all.",
    ),
    Mistake(
        "takes dim frequencies, and so returns 2 dim entries",
        lambda k, dim: _sines_and_cosines(_angles(k, 2 * dim)),
        "Half of the entries are sines, half cosines: dim/2 frequencies.",
    ),
)


# ------------------------------------------------------------------------------------------------
# which horizon fits
# ------------------------------------------------------------------------------------------------


def fitting_horizon(function: Function) -> None:
    """Checks `function(steps, levels) -> int`: the shortest horizon of at least so many steps that fits.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = [
        {"steps": steps, "levels": levels}
        for steps, levels in ((10, 3), (16, 3), (1, 4), (12, 3), (7, 1), (17, 4), (15, 2))
    ]
    check_function(
        "fitting_horizon",
        function,
        _fitting_horizon,
        HORIZON_MISTAKES,
        cases,
        "No UNet of yours will meet a trajectory that it cannot halve.",
    )


def _round_up(steps: int, divisor: int) -> int:
    return -(-steps // divisor) * divisor


def _fitting_horizon(steps: int, levels: int) -> int:
    divisor = 2 ** (levels - 1)
    return -(-steps // divisor) * divisor


HORIZON_MISTAKES = (
    Mistake(
        "counts one halving too many: 2^levels",
        lambda steps, levels: _round_up(steps, 2**levels),
        "The last level does not halve: levels - 1 halvings.",
    ),
    Mistake(
        "rounds down",
        lambda steps, levels: steps // 2 ** (levels - 1) * 2 ** (levels - 1),
        "A shorter horizon would cut steps off. Round up.",
    ),
    Mistake(
        "rounds to the nearest",
        lambda steps, levels: round(steps / 2 ** (levels - 1)) * 2 ** (levels - 1),
        "At least `steps` are needed: always round up.",
    ),
    Mistake(
        "goes one further where the number fits already",
        lambda steps, levels: (steps // 2 ** (levels - 1) + 1) * 2 ** (levels - 1),
        "16 steps fit three levels as they are. math.ceil, or -(-a // b), leaves what fits.",
    ),
    Mistake(
        "multiplies by 2 for each level, where halvings multiply among themselves",
        lambda steps, levels: _round_up(steps, max(1, 2 * (levels - 1))),
        "Halving twice divides by 2 * 2, three times by 2 * 2 * 2: a power of two.",
    ),
    Mistake(
        "rounds up to a power of two",
        lambda steps, levels: 1 << (steps - 1).bit_length(),
        "12 is no power of two, and fits three levels: 12, 6, 3. A multiple of 2^(levels - 1) is enough.",
    ),
    Mistake(
        "returns the divisor, not a horizon",
        lambda steps, levels: 2 ** (levels - 1),
        "That is what must divide the horizon. Now take its first multiple from `steps` on.",
    ),
    Mistake(
        "returns the number of steps at the lowest level",
        lambda steps, levels: -(-steps // 2 ** (levels - 1)),
        "So many steps are left at the bottom. Multiply by the divisor to come back to full resolution.",
    ),
)
