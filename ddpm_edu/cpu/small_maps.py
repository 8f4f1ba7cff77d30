"""Convolutions over maps of a few cells, as ResNet's last ones: the gradient of their weights, sooner.

Two thirds of ResNet18's weights meet maps of 3 x 3 cells. There oneDNN takes 1.7 times (128 pictures) to 5
times (4 pictures) as long for their gradient as one matrix product over the unfolded maps does. For larger
maps, and for the gradient of the input, it is as fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ddpm_edu.cpu.time_major import matmul_transposed

MOST_CELLS = 9
LEAST_CHANNELS = 512


def convolutions(encoder: nn.Module | None) -> Iterator[nn.Conv2d]:
    """Those of an encoder that may gain: many channels, stride 1, nothing unusual."""
    for part in encoder.modules() if encoder is not None else ():
        if type(part) is nn.Conv2d and part.in_channels >= LEAST_CHANNELS and part.kernel_size != (1, 1):
            usual = part.groups == 1 and part.padding_mode == "zeros" and isinstance(part.padding, tuple)
            if usual and part.stride == part.dilation == (1, 1):
                yield part


def forward(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """`nn.Conv2d.forward`: x (N, Ci, H, W) -> (N, Co, H', W')."""
    if x.ndim == 4 and x.shape[2] * x.shape[3] <= MOST_CELLS:
        return _Convolution.apply(x, convolution.weight, convolution.bias, convolution.padding)
    return nn.Conv2d.forward(convolution, x)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
        grad_x = grad_weight = None
        if wants_x:
            grad_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, (1, 1), ctx.padding, (1, 1), False, (0, 0), 1, (True, False, False)
            )[0]
        if wants_weight:
            columns = F.unfold(x, weight.shape[2:], padding=ctx.padding)  # (N, Ci*k*k, H'*W')
            columns = columns.transpose(0, 1).flatten(1)  # (Ci*k*k, N*H'*W')
            rows = grad.transpose(0, 1).flatten(1)  # (Co, N*H'*W')
            grad_weight = matmul_transposed(rows, columns).view_as(weight)
        return grad_x, grad_weight, grad.sum((0, 2, 3)) if wants_bias else None, None
