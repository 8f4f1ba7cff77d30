"""What an argument may be taken for: its square, its inverse, the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_edu.course.explanations.answers import has_axes

Misreading = tuple[str, Callable[[Any], Any], Callable[[Any], bool]]
"""What it is taken for; how that is made; and of which values it can be."""


def _first(value: Any) -> Any:
    return value[:1].expand_as(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool


def _is_float(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point())


def _is_float_tensor(value: Any) -> bool:
    return has_axes(value) and value.is_floating_point()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Tensor) and not _is_mask(value) and not isinstance(value, bool)


OF_VALUES: tuple[Misreading, ...] = (
    ("the square of {}", lambda x: x * x, _is_float),
    ("the root of {}", lambda x: x**0.5, _is_float),
    ("{} with the opposite sign", lambda x: -x, _is_float),
    ("1 - {}", lambda x: 1 - x, _is_float),
    ("1 / {}", lambda x: 1 / x, _is_float),
    ("{} + 1", lambda x: x + 1, _is_number),
    ("{} - 1", lambda x: x - 1, _is_number),
    ("twice {}", lambda x: 2 * x, _is_number),
    ("half of {}", lambda x: x / 2, _is_float),
    ("{} turned round (flip)", lambda x: x.flip(0), has_axes),
    ("{} turned round along its second axis", lambda x: x.flip(1), has_axes),
    ("{} with its last axis turned round", lambda x: x.flip(-1), has_axes),
    ("{} moved on by one", lambda x: x.roll(1, 0), has_axes),
    ("{} moved back by one", lambda x: x.roll(-1, 0), has_axes),
    ("{} moved on by one along its second axis", lambda x: x.roll(1, 1), has_axes),
    ("{} moved back by one along its second axis", lambda x: x.roll(-1, 1), has_axes),
    ("{} with its last two axes exchanged", lambda x: x.mT, has_axes),
    ("{} with its first two axes exchanged", lambda x: x.transpose(0, 1), has_axes),
    ("the inverse mask ~{}", lambda x: ~x, _is_mask),
    ("the product of all {} so far", lambda x: x.cumprod(0), _is_float),
    ("the sum of all {} so far", lambda x: x.cumsum(0), _is_float),
    ("{} limited to [-1, 1]", lambda x: x.clamp(-1, 1), _is_float),
    ("{} limited to [0, 1]", lambda x: x.clamp(0, 1), _is_float),
    ("{} in order", lambda x: x.sort(0).values, has_axes),
    ("{} rounded", lambda x: round(x) if isinstance(x, float) else x.round(), _is_float),
)
"""Changes that keep what the argument says of each sample and step."""

MISREADINGS: tuple[Misreading, ...] = (
    *OF_VALUES,
    ("the first entry of {} for all", _first, has_axes),
    ("the last entry of {} for all", lambda x: x[-1:].expand_as(x), has_axes),
    ("{} without its first entry", lambda x: x[1:], has_axes),
    ("{} without its last entry", lambda x: x[:-1], has_axes),
    ("{} without its first step (axis 1)", lambda x: x[:, 1:], has_axes),
    ("{} without its last step (axis 1)", lambda x: x[:, :-1], has_axes),
    ("zeros in the place of {}", torch.zeros_like, has_axes),
    ("ones in the place of {}", torch.ones_like, _is_float),
    ("the mean of {} for all", lambda x: x.mean(0, keepdim=True).expand_as(x), _is_float),
    ("the sizes of {} (without sign)", abs, _is_float),
    ("the first entry of {} for all", lambda x: x[:1] * len(x), _is_list),
    ("the last entry of {} for all", lambda x: x[-1:] * len(x), _is_list),
    ("the largest entry of {} for all", lambda x: [max(x)] * len(x), _is_list),
    ("the smallest entry of {} for all", lambda x: [min(x)] * len(x), _is_list),
    ("only the first entry of {}", lambda x: x[:1], _is_list),
    ("only the last entry of {}", lambda x: x[-1:], _is_list),
)

NEEDED: tuple[Misreading, ...] = (
    ("the exponential of {}", lambda x: x.exp(), _is_float_tensor),
    ("the logarithm of {}", lambda x: x.log(), _is_float_tensor),
    ("the rows of {}, scaled to length 1,", lambda x: F.normalize(x, dim=-1), _is_float_tensor),
    ("the differences of {}", lambda x: x.diff(dim=0), _is_float_tensor),
    ("{} as float", lambda x: x.float(), has_axes),
)
"""What a function may fail to make of an argument, beside the like of the above."""

OF_TWO: dict[str, Callable[[int, int], int]] = {
    "{0} + {1}": lambda a, b: a + b,
    "{0} - {1}": lambda a, b: a - b,
    "{0} + {1} - 1": lambda a, b: a + b - 1,
    "{0} - {1} + 1": lambda a, b: a - b + 1,
    "{1} - {0}": lambda a, b: b - a,
    "{0} * {1}": lambda a, b: a * b,
    "{1}": lambda a, b: b,
}
"""Whole numbers that are taken for another one together."""
