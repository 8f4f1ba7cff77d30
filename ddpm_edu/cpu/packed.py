"""Linear layers whose weights lie as the processor wants to read them, and what is kept between calls.

At batch 1 a denoising step is as fast as its weights are read from memory: all of them, once, for a handful
of rows. oneDNN's own layout halves that time, and a convolution as one matrix product reads them only once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

Weights = TypeVar("Weights")

SAMPLED = 32
"""Entries of each parameter that are compared to see whether it changed."""


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


class KeptWhileUnchanged(Generic[Weights]):
    """Remembers what was made of a module's parameters, until one of them is written to.

    Nothing is stored in the module itself, so that it is copied and saved as before.
    """

    def __init__(self, make: Callable[[nn.Module], Weights]):
        self.make = make
        self.kept: WeakKeyDictionary[nn.Module, tuple[tuple, Tensor, Weights]] = WeakKeyDictionary()

    def __call__(self, module: nn.Module) -> Weights:
        """What `make(module)` returned, made anew if parameters changed."""
        parameters = list(module.parameters())
        writes = tuple((id(p), p.data_ptr(), p._version) for p in parameters)
        # PyTorch counts the writes to a tensor, but not those of fused optimisers and through `tensor.data`.
        # These change all entries, so some of each parameter are compared as well.
        entries = torch.cat([p.detach().reshape(-1)[:SAMPLED] for p in parameters])
        if module in self.kept:
            kept_writes, kept_entries, made = self.kept[module]
            if writes == kept_writes and torch.equal(entries, kept_entries):
                return made
            del self.kept[module], made  # first free the old copy: there is room for one
        made = self.make(module)
        self.kept[module] = (writes, entries, made)
        return made
