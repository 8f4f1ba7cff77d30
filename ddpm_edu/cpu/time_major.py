"""The pieces of the UNet over time-major tensors (T, B, C), with gradients written out by hand.

Why time-major: all samples of one step lie together in memory, so that a convolution over T is a sum of
matrix products of contiguous pieces, one for each of its taps, and a tap that falls outside the trajectory
is a shorter piece instead of a multiplication with zeros. Channel-first, the way of `blocks.py`, leaves the
library only T = 4 numbers in a row at the bottom of the UNet.

Axes beyond the project's legend: Ci channels in, Co channels out, G groups of a norm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def is_available() -> bool:
    """Whether this build of PyTorch has the kernels that make this faster (oneDNN: Intel and AMD CPUs)."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def matmul_transposed(a: Tensor, b: Tensor) -> Tensor:
    """a (n, m) @ b (p, m)^T -> (n, p), by oneDNN, which is twice as fast as `torch.mm` on AMD's CPUs."""
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


# ------------------------------------------------------------------------------------------------
# linear layers
# ------------------------------------------------------------------------------------------------


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])  # (N, Co)
        grad_x = matmul_transposed(rows, weight.t()).view_as(x) if ctx.needs_input_grad[0] else None
        grad_weight = matmul_transposed(rows.t().contiguous(), x.reshape(-1, x.shape[-1]).t())  # (Co, Ci)
        return grad_x, grad_weight, rows.sum(0)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (..., Ci), weight (Co, Ci), bias (Co,) -> (..., Co)."""
    return _Linear.apply(x, weight, bias)


# ------------------------------------------------------------------------------------------------
# convolutions over T
# ------------------------------------------------------------------------------------------------


def _image(x: Tensor) -> Tensor:
    """(T, B, C) as the one image (1, C, T, B) that lies in memory like that, channels last."""
    return x.permute(2, 0, 1)[None]


def _from_image(image: Tensor) -> Tensor:
    """(1, C, T, B) -> (T, B, C), contiguous."""
    return image[0].permute(1, 2, 0).contiguous()


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        # The taps go over the rows of the image, which are the steps; its columns are the samples.
        kernel = weight[..., None].contiguous(memory_format=torch.channels_last)  # (Co, Ci, k, 1)
        padding = (weight.shape[2] // 2, 0)
        ctx.save_for_backward(x, kernel)
        return _from_image(torch.mkldnn_convolution(_image(x), kernel, bias, padding, (1, 1), (1, 1), 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel = ctx.saved_tensors
        grad, k = grad.contiguous(), kernel.shape[2]
        grad_x = None
        if ctx.needs_input_grad[0]:
            image, _, _ = torch.ops.aten.convolution_backward(
                _image(grad), _image(x), kernel, None, (1, 1), (k // 2, 0), (1, 1), False, (0, 0), 1,
                (True, False, False),
            )  # fmt: skip
            grad_x = _from_image(image)  # (T, B, Ci)
        return grad_x, _weight_gradient(x, grad, k), grad.sum((0, 1))


def _weight_gradient(x: Tensor, grad: Tensor, k: int) -> Tensor:
    """x (T, B, Ci), grad (T, B, Co) -> (Co, Ci, k): one matrix product for each tap that reaches a step."""
    T, B, Ci = x.shape
    rows = grad.view(T * B, -1).t().contiguous()  # (Co, T*B)
    weight_gradient = x.new_zeros(rows.shape[0], Ci, k)  # zero stays where a tap sees only beyond the ends
    for tap in range(k):
        offset = tap - k // 2  # the tap's product is y_t += W_tap x_{t + offset}
        first, last = max(0, -offset), min(T, T - offset)
        if first < last:
            seen = x[first + offset : last + offset].view(-1, Ci)  # (steps*B, Ci)
            weight_gradient[:, :, tap] = matmul_transposed(rows[:, first * B : last * B], seen.t())
    return weight_gradient


def convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution that keeps the length: x (T, B, Ci), weight (Co, Ci, k), k odd -> (T, B, Co)."""
    if weight.shape[2] == 1:
        return linear(x, weight[:, :, 0], bias)
    return _Convolution.apply(x.contiguous(), weight, bias)


def downsample(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Every second step of a convolution of kernel 3: x (T, B, Ci), weight (Co, Ci, 3) -> (T/2, B, Co)."""
    even, odd = x[0::2], x[1::2]  # each (T/2, B, Ci)
    before = torch.cat([torch.zeros_like(odd[:1]), odd[:-1]])  # y_t sees steps 2t-1, 2t, 2t+1
    seen = torch.cat([before, even, odd], dim=2)  # (T/2, B, 3*Ci)
    return linear(seen, weight.transpose(1, 2).flatten(1), bias)


def upsample(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The transposed convolution of kernel 4, stride 2: x (T, B, Ci), weight (Ci, Co, 4) -> (2T, B, Co).

    Step 2t is reached by taps 1 and 3 from x_t and x_{t-1}, step 2t+1 by taps 2 and 0 from x_t and x_{t+1}.
    """
    none = torch.zeros_like(x[:1])
    before, after = torch.cat([none, x[:-1]]), torch.cat([x[1:], none])  # each (T, B, Ci)
    tap = [weight[:, :, j].t() for j in range(4)]  # each (Co, Ci)
    even = linear(torch.cat([x, before], dim=2), torch.cat([tap[1], tap[3]], dim=1), bias)  # (T, B, Co)
    odd = linear(torch.cat([x, after], dim=2), torch.cat([tap[2], tap[0]], dim=1), bias)
    return torch.stack([even, odd], dim=1).flatten(0, 1)  # (2T, B, Co)


# ------------------------------------------------------------------------------------------------
# norm and activation
# ------------------------------------------------------------------------------------------------


class _NormMish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, n_groups: int, eps: float) -> Tensor:
        T, _, C = x.shape
        size = T * C // n_groups  # entries that share their statistics
        centred = x - _over_groups(x.sum(0), n_groups, C).div_(size)  # (T, B, C)
        variance = _over_groups(centred.square().sum(0), n_groups, C).div_(size)  # (B, C)
        inverse_std = variance.add_(eps).rsqrt_()
        y = torch.addcmul(bias, centred, inverse_std * weight)  # (T, B, C)

        # mish(y) = y tanh(softplus(y)). With s = sigmoid(y) and q = s (2 - s) the tanh is q / (2 - q): one
        # exponential instead of two and a logarithm, and no difference of nearly equal numbers for any y.
        s = torch.sigmoid(y)
        q = torch.rsub(s, 2).mul_(s)
        tanh = q.div_(torch.rsub(q, 2))
        if any(ctx.needs_input_grad):
            # mish' = tanh + y s (1 - tanh^2), now while all of it is in the cache.
            one_minus_square = torch.addcmul(tanh.new_ones(()), tanh, tanh, value=-1)
            slope = torch.addcmul(tanh, s.mul_(y), one_minus_square)  # (T, B, C)
            ctx.save_for_backward(centred, inverse_std, weight, slope)
            ctx.n_groups = n_groups
        return y.mul_(tanh)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        centred, inverse_std, weight, slope = ctx.saved_tensors
        T, _, C = centred.shape
        size = T * C // ctx.n_groups
        grad_y = grad * slope  # (T, B, C)
        sums = grad_y.sum(0)  # (B, C)
        products = (grad_y * centred).sum(0).mul_(inverse_std)  # (B, C): with the normalised x
        grad_bias, grad_weight = sums.sum(0), products.sum(0)  # (C,)
        # The mean and the variance move with every entry of the group: take out both directions.
        mean_shift = _over_groups(sums * weight, ctx.n_groups, C).mul_(inverse_std).div_(-size)  # (B, C)
        scale_shift = _over_groups(products * weight, ctx.n_groups, C).mul_(inverse_std.square()).div_(-size)
        grad_x = torch.addcmul(mean_shift, centred, scale_shift)  # (T, B, C)
        grad_x.addcmul_(grad_y, inverse_std * weight)
        return grad_x, grad_weight, grad_bias, None, None


def _over_groups(x: Tensor, n_groups: int, C: int) -> Tensor:
    """The sum over each group, at all of its channels: (B, C) -> (B, C)."""
    sums = x.view(-1, n_groups, C // n_groups).sum(2, keepdim=True)  # (B, G, 1)
    return sums.expand(-1, -1, C // n_groups).flatten(1)  # (B, C)


def norm_mish(x: Tensor, weight: Tensor, bias: Tensor, n_groups: int, eps: float) -> Tensor:
    """GroupNorm and Mish: x (T, B, C), weight and bias (C,) -> (T, B, C)."""
    return _NormMish.apply(x.contiguous(), weight, bias, n_groups, eps)
