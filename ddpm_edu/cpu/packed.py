"""Linear layers whose weights lie as the processor wants to read them, and what is kept between calls.

At batch 1 a denoising step is as fast as its weights are read from memory: all of them, once, for a handful
of rows. oneDNN's own layout halves that time, and a convolution as one matrix product reads them only once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

Weights = TypeVar("Weights")

ROWS = 16
"""Rows for which the weights are packed: a trajectory of batch 1."""


def is_available() -> bool:
    """Whether this build of PyTorch has oneDNN's packed linear layers (Intel and AMD CPUs)."""
    wanted = ("_linear_pointwise", "_reorder_linear_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in wanted)


class PackedLinear:
    """x -> x @ weight^T + bias, float32 on the CPU, without gradients.

    Args:
        weight: (Co, Ci).
        bias: (Co,) or None.
        rows: how many rows x will have about; the layout is best for so many.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int):
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
        self.bias = None if bias is None else bias.detach().clone()

    def __call__(self, x: Tensor) -> Tensor:
        """(..., Ci) -> (..., Co)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class _Kept(NamedTuple, Generic[Weights]):
    """What was made of parameters, and by what one sees that these are no longer the same."""

    writes: tuple
    bits: list[np.ndarray]
    sums: list[int]
    made: Weights


class KeptWhileUnchanged(Generic[Weights]):
    """Remembers what was made of a module's parameters, until one of them is written to.

    Writes that PyTorch does not count are noticed by the sum of all bits of each parameter: a hundredth of a
    decision's time. Uncounted ones that only put a parameter's numbers in another order may go unnoticed.

    Nothing is stored in the module itself, so that it is copied and saved as before.
    """

    def __init__(self, make: Callable[[nn.Module], Weights]):
        self.make = make
        self.kept: WeakKeyDictionary[nn.Module, _Kept[Weights]] = WeakKeyDictionary()

    def __call__(self, module: nn.Module) -> Weights:
        """What `make(module)` returned, made anew if parameters changed."""
        parameters = list(module.parameters())
        # Fused optimisers, `tensor.data` and NumPy's views write without being counted in `_version`.
        writes = tuple((id(p), p.data_ptr(), p._version) for p in parameters)
        if module in self.kept:
            kept = self.kept[module]
            if writes == kept.writes and list(map(_sum, kept.bits)) == kept.sums:
                return kept.made
            del self.kept[module], kept  # first free the old copy: there is room for one
        bits = [_bits(p) for p in parameters]
        kept = _Kept(writes, bits, list(map(_sum, bits)), self.make(module))
        self.kept[module] = kept
        return kept.made


def _bits(parameter: Tensor) -> np.ndarray:
    """The parameter's own memory as whole numbers, two float32 in one where they pair: that is sooner."""
    values = parameter.detach().numpy()
    if values.flags.c_contiguous and values.size % 2 == 0:
        return values.reshape(-1).view(np.int64)
    return values.view(np.int32)


def _sum(bits: np.ndarray) -> int:
    return int(np.add.reduce(bits, axis=None, dtype=np.int64))  # beyond 64 bits it begins anew
