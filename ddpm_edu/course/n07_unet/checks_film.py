"""Checks of notebook 07: FiLM and the residual block, and known mistakes."""

from __future__ import annotations

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function
from ddpm_edu.denoisers.blocks import ConditionalResidualBlock1D

# ------------------------------------------------------------------------------------------------
# FiLM
# ------------------------------------------------------------------------------------------------


def film(function: Function) -> None:
    """Checks `function(x (B, C, T), cond (B, Dc), weight (2C, Dc), bias (2C,)) -> (B, C, T)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "film",
        function,
        _film,
        FILM_MISTAKES,
        _film_cases(),
        "The condition reaches every channel, alike at every time step.",
    )


def _film_cases() -> list[Arguments]:
    """Sizes all different, then all alike: there wrong broadcasting runs."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return [
        {"x": normal(B, C, T), "cond": normal(B, Dc), "weight": normal(2 * C, Dc), "bias": normal(2 * C)}
        for B, C, T, Dc in ((3, 4, 6, 5), (4, 4, 4, 4))
    ]


def _modulation(cond: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    scale, shift = F.linear(F.mish(cond), weight, bias)[:, :, None].chunk(2, dim=1)  # each (B, C, 1)
    return scale, shift


def _film(x: Tensor, cond: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    modulation = F.linear(F.mish(cond), weight, bias)[:, :, None]  # (B, 2C, 1)
    scale, shift = modulation.chunk(2, dim=1)  # each (B, C, 1)
    return scale * x + shift  # (B, C, T)


def _film_without(activation: Function) -> Function:
    def wrong(x: Tensor, cond: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        scale, shift = F.linear(activation(cond), weight, bias)[:, :, None].chunk(2, dim=1)
        return scale * x + shift

    return wrong


def _film_combined(combine: Function) -> Function:
    return lambda x, cond, weight, bias: combine(x, *_modulation(cond, weight, bias))


def _film_alternating(x: Tensor, cond: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    modulation = F.linear(F.mish(cond), weight, bias)[:, :, None]  # (B, 2C, 1)
    return modulation[:, 0::2] * x + modulation[:, 1::2]


def _film_mish_last(x: Tensor, cond: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    scale, shift = F.mish(F.linear(cond, weight, bias))[:, :, None].chunk(2, dim=1)
    return scale * x + shift


def _film_over_last_axes(x: Tensor, cond: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    scale, shift = F.linear(F.mish(cond), weight, bias).chunk(2, dim=1)  # each (B, C)
    return scale * x + shift


def _film_over_time(x: Tensor, cond: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    scale, shift = F.linear(F.mish(cond), weight, bias)[:, None, :].chunk(2, dim=2)  # each (B, 1, C)
    return scale * x + shift


_SHAPE = "scale and bias are (B, C); to stand beside x (B, C, T) they need a last axis of 1: [:, :, None]."

FILM_MISTAKES = (
    Mistake(
        "multiplies by 1 + scale",
        _film_combined(lambda x, scale, shift: (1 + scale) * x + shift),
        "Many FiLM layers do so, because scale 0 then changes nothing. This network's weights were trained "
        "with scale * x + bias.",
    ),
    Mistake(
        "takes the first half as the bias and the second as the scale",
        _film_combined(lambda x, scale, shift: shift * x + scale),
        "The first C entries are the scale, the last C the bias.",
    ),
    Mistake(
        "leaves the Mish out",
        _film_without(lambda cond: cond),
        "The condition passes through F.mish before the linear layer.",
    ),
    Mistake("takes a ReLU in place of the Mish", _film_without(F.relu), "Close, but it is F.mish."),
    Mistake("takes a SiLU in place of the Mish", _film_without(F.silu), "Close, but it is F.mish."),
    Mistake(
        "applies the Mish after the linear layer",
        _film_mish_last,
        "First the Mish, then the linear layer: so scale and bias can have any sign and size.",
    ),
    Mistake(
        "forgets the scale and only adds the bias",
        _film_combined(lambda x, scale, shift: x + shift),
        "That is FiLM with cond_predict_scale=False. Here the scale multiplies x, too.",
    ),
    Mistake(
        "forgets to add the bias",
        _film_combined(lambda x, scale, shift: scale * x),
        "scale * x + bias: the second half of the projection is missing.",
    ),
    Mistake(
        "adds the bias before it scales",
        _film_combined(lambda x, scale, shift: scale * (x + shift)),
        "scale * x + bias: the bias itself is not scaled.",
    ),
    Mistake(
        "takes every second entry as the scale",
        _film_alternating,
        "The first C entries are the scale, the last C the bias: chunk(2, dim=1).",
    ),
    Mistake("lines up scale and bias with the last axes, (C, T)", _film_over_last_axes, _SHAPE),
    Mistake("modulates time steps, where channels are meant", _film_over_time, _SHAPE),
)


# ------------------------------------------------------------------------------------------------
# the residual block
# ------------------------------------------------------------------------------------------------


def residual_block(function: Function) -> None:
    """Checks `function(x (B, C, T), cond (B, Dc), block) -> (B, C', T)`; `block` holds the four parts.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "residual_block",
        function,
        _residual_block,
        BLOCK_MISTAKES,
        _block_cases(),
        "It is the package's block, with and without a change of channels.",
    )


def _block_cases() -> list[Arguments]:
    """First 3 channels to 8, where the way around is a convolution; then 8 to 8, where it changes nothing."""
    generator, parts = torch.Generator().manual_seed(8), _block_parts()
    return [
        {
            "x": torch.randn(B, C, T, generator=generator),
            "cond": torch.randn(B, 5, generator=generator),
            "block": parts[C],
        }
        for B, C, T in ((2, 3, 6), (3, 8, 6), (1, 3, 5))
    ]


def _block_parts() -> dict[int, SimpleNamespace]:
    """The parts of two blocks by their input channels, without the module that puts them together."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        blocks = {C: ConditionalResidualBlock1D(C, 8, 5, 3, 4, cond_predict_scale=True) for C in (3, 8)}
    return {
        C: SimpleNamespace(
            block_in=block.block_in, film=block.film, block_out=block.block_out, residual=block.residual
        )
        for C, block in blocks.items()
    }


def _residual_block(x: Tensor, cond: Tensor, block: SimpleNamespace) -> Tensor:
    out = block.block_in(x)
    out = block.film(out, cond)
    out = block.block_out(out)
    return out + block.residual(x)


BLOCK_MISTAKES = (
    Mistake(
        "brings the condition in before the first convolution",
        lambda x, cond, b: b.block_out(b.block_in(b.film(x, cond))) + b.residual(x),
        "FiLM has a scale and a bias for each channel that the first convolution makes: it comes after it.",
    ),
    Mistake(
        "leaves out the way around",
        lambda x, cond, b: b.block_out(b.film(b.block_in(x), cond)),
        "Add block.residual(x) at the end: deep networks learn what to change, not everything anew.",
    ),
    Mistake(
        "leaves out the condition",
        lambda x, cond, b: b.block_out(b.block_in(x)) + b.residual(x),
        "Without FiLM the network knows neither k nor what the robot sees.",
    ),
    Mistake(
        "adds x itself, not block.residual(x)",
        lambda x, cond, b: b.block_out(b.film(b.block_in(x), cond)) + x,
        "Where the channels change, x does not fit: the 1x1 convolution in block.residual makes it fit.",
    ),
    Mistake(
        "brings the condition in after the second convolution",
        lambda x, cond, b: b.film(b.block_out(b.block_in(x)), cond) + b.residual(x),
        "FiLM stands between the two, so that the second convolution can react to the condition.",
    ),
    Mistake(
        "modulates the sum, the way around included",
        lambda x, cond, b: b.film(b.block_out(b.block_in(x)) + b.residual(x), cond),
        "FiLM stands between the two convolutions, and the way around stays untouched.",
    ),
    Mistake(
        "applies FiLM twice",
        lambda x, cond, b: b.film(b.block_out(b.film(b.block_in(x), cond)), cond) + b.residual(x),
        "Once is enough, between the two convolutions.",
    ),
    Mistake(
        "adds the way around before the second convolution",
        lambda x, cond, b: b.block_out(b.film(b.block_in(x), cond) + b.residual(x)),
        "The way around goes around both convolutions: add it last.",
    ),
    Mistake(
        "leaves out the second convolution",
        lambda x, cond, b: b.film(b.block_in(x), cond) + b.residual(x),
        "After FiLM comes block.block_out.",
    ),
    Mistake(
        "uses the first convolution twice",
        lambda x, cond, b: b.block_in(b.film(b.block_in(x), cond)) + b.residual(x),
        "The second one is block.block_out: it has weights of its own.",
    ),
    Mistake(
        "sends the result, not x, around",
        lambda x, cond, b: (lambda out: out + b.residual(out))(b.block_out(b.film(b.block_in(x), cond))),
        "Around the convolutions goes what came in: block.residual(x).",
    ),
)
