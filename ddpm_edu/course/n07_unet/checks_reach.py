"""Check of notebook 07: which input steps the output steps hear, by arithmetic, and known mistakes."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function

Layers = tuple[tuple[str, int], ...]


def heard(function: Function) -> None:
    """Checks `function(layers, length) -> (T', T) bool`: which step of the end hears which of the beginning.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    convolution, halve, double = ("convolution", 5), ("halve", 3), ("double", 4)
    keep, join = ("keep", 0), ("join", 0)
    inner = (("halve", 1), ("double", 2))
    cases = [
        {"layers": layers, "length": length}
        for layers, length in (
            ((convolution,), 9),
            ((("convolution", 3), convolution), 12),
            ((halve,), 8),
            ((double,), 5),
            ((convolution, halve, ("convolution", 3), double), 16),
            # Picks every second step and spreads it: what lies between comes through the skip alone.
            ((keep, ("halve", 1), ("double", 2), join), 12),
            ((("convolution", 3), keep, ("halve", 1), keep, *inner, join, ("double", 2), join), 24),
        )
    ]  # fmt: skip
    check_function(
        "heard",
        function,
        _heard,
        REACH_MISTAKES,
        cases,
        "Every layer is a table of who looks at whom, and a network is their product.",
    )


def _heard(layers: Layers, length: int) -> Tensor:
    hears = torch.eye(length)  # (steps now, T)
    kept = []
    for kind, kernel in layers:
        before = torch.arange(len(hears))  # (steps before,)
        if kind == "keep":
            kept.append(hears)
        elif kind == "join":
            hears = torch.maximum(hears, kept.pop())
        else:
            if kind == "convolution":
                after = torch.arange(len(hears))[:, None]  # (steps after, 1)
                looks = (before - after).abs() <= kernel // 2
            elif kind == "halve":
                after = torch.arange(len(hears) // 2)[:, None]
                looks = (before - 2 * after).abs() <= kernel // 2
            else:
                after = torch.arange(2 * len(hears))[:, None]
                looks = (after - 2 * before - 0.5).abs() < kernel / 2
            hears = (looks.float() @ hears).clamp(max=1)
    return hears > 0


def _wrong(
    layers: Layers,
    length: int,
    reach: str = "half",
    stride: bool = True,
    spread: str = "both",
    skips: str = "joined",
    turned: bool = False,
) -> Tensor:
    hears = torch.eye(length)
    kept: list[Tensor] = []
    for kind, kernel in layers:
        n = len(hears)
        before = torch.arange(n)
        side = {"half": kernel // 2, "whole": kernel, "back": kernel // 2}[reach]
        if kind == "keep":
            kept.append(hears)
            continue
        if kind == "join":
            other = kept.pop(0 if skips == "first" else -1)
            if skips == "joined" or (skips == "first" and other.shape == hears.shape):
                hears = torch.maximum(hears, other)
            elif skips == "alone":
                hears = other
            continue
        if kind == "convolution":
            distance = before - torch.arange(n)[:, None]
            looks = (distance.abs() <= side) & (distance <= 0 if reach == "back" else True)
        elif kind == "halve":
            centre = (2 if stride else 1) * torch.arange(n // 2)[:, None]
            looks = (before - centre).abs() <= side
        else:
            after = torch.arange(2 * n)[:, None]
            if spread == "both":
                looks = (after - 2 * before - 0.5).abs() < kernel / 2
            elif spread == "copy":
                looks = after // 2 == before
            else:
                looks = (after - 2 * before >= 0) & (after - 2 * before < kernel)
        hears = (looks.float() @ hears).clamp(max=1)
    return hears.T > 0 if turned else hears > 0


REACH_MISTAKES = (
    Mistake(
        "looks a whole kernel to each side",
        lambda layers, length: _wrong(layers, length, reach="whole"),
        "A kernel of 5 has two steps on each side, and the one in the middle: kernel // 2.",
    ),
    Mistake(
        "looks backwards only, as a causal convolution would",
        lambda layers, length: _wrong(layers, length, reach="back"),
        "These convolutions look to both sides: the motion is known as a whole.",
    ),
    Mistake(
        "halves the length, and looks at step i where 2i is meant",
        lambda layers, length: _wrong(layers, length, stride=False),
        "After halving, step i stands where 2i stood.",
    ),
    Mistake(
        "doubles by copying each step twice, without the kernel",
        lambda layers, length: _wrong(layers, length, spread="copy"),
        "A transposed convolution adds up: step j of before goes into `kernel` steps of after.",
    ),
    Mistake(
        "doubles without the padding: the kernel begins at 2j",
        lambda layers, length: _wrong(layers, length, spread="from 2j"),
        "The kernel lies about 2j and 2j + 1: i - 2j goes from 1 - kernel/2 to kernel/2.",
    ),
    Mistake(
        "leaves the skips out",
        lambda layers, length: _wrong(layers, length, skips="none"),
        "After `join` a step hears what it heard through the bottom, or what was laid aside for it.",
    ),
    Mistake(
        "hears after a join what was laid aside, and nothing else",
        lambda layers, length: _wrong(layers, length, skips="alone"),
        "Both are there, side by side as channels: heard is what either of them heard.",
    ),
    Mistake(
        "has the input along the rows",
        lambda layers, length: _wrong(layers, length, turned=True),
        "Row i belongs to step i of the end; its entries are the steps of the beginning.",
    ),
)
