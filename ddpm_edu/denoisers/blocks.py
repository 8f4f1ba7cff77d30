"""The pieces that denoisers are built from. Inside the UNet tensors are channel-first: (B, C, T)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_edu.errors import ConfigError

# ------------------------------------------------------------------------------------------------
# which diffusion step is it?
# ------------------------------------------------------------------------------------------------


class SinusoidalPosEmb(nn.Module):
    """Writes an integer as sines and cosines of falling frequency (Vaswani et al. 2017, section 3.5).

    Neighbouring steps get similar vectors, distant ones different vectors, and no scale has to be chosen.

    Args:
        dim: length of the vector; even and at least 4.

    Raises:
        ConfigError: for another `dim`.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_embedding("the embedding's length", dim)
        self.dim = dim

    def forward(self, timestep: Tensor) -> Tensor:
        """timestep (B,) -> (B, dim) float32: first all sines, then all cosines."""
        half = self.dim // 2
        # Wavelengths from 2 pi to 10000 * 2 pi, evenly spaced on a logarithmic axis.
        exponent = torch.arange(half, device=timestep.device) * -(math.log(10000) / (half - 1))
        angle = timestep[:, None].float() * exponent.exp()[None, :]  # (B, dim/2)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)  # (B, dim)


class DiffusionStepEncoder(nn.Module):
    """Embeds the diffusion step and lets two layers find what is useful in it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.embedding = SinusoidalPosEmb(dim)
        self.expand = nn.Linear(dim, 4 * dim)
        self.contract = nn.Linear(4 * dim, dim)

    def forward(self, timestep: Tensor) -> Tensor:
        """timestep (B,) -> (B, dim)."""
        embedding = self.embedding(timestep).to(self.expand.weight.dtype)  # (B, dim)
        return self.contract(F.mish(self.expand(embedding)))  # (B, dim)


# ------------------------------------------------------------------------------------------------
# convolutions over the trajectory
# ------------------------------------------------------------------------------------------------


class Conv1dBlock(nn.Module):
    """Convolution, GroupNorm, Mish: mixes neighbouring steps and keeps the length.

    GroupNorm and not BatchNorm: its statistics come from the sample itself, so an exponential moving average
    of the weights has no running statistics that would go stale.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, n_groups: int = 8) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.norm = nn.GroupNorm(n_groups, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T) -> (B, out_channels, T)."""
        return F.mish(self.norm(self.convolution(x)))


class Downsample1d(nn.Module):
    """Halves the number of steps with a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, channels, kernel_size=3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T/2)."""
        return self.convolution(x)


class Upsample1d(nn.Module):
    """Doubles the number of steps with a transposed convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Kernel 4 with stride 2: every output step is reached by exactly two taps, so no checkerboard.
        self.convolution = nn.ConvTranspose1d(channels, channels, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, 2T)."""
        return self.convolution(x)


# ------------------------------------------------------------------------------------------------
# how a condition reaches a convolution
# ------------------------------------------------------------------------------------------------


class FiLM(nn.Module):
    """Feature-wise linear modulation: a condition shifts, and may scale, each channel (Perez et al. 2018).

    The scale multiplies as it is, not as 1 + scale, and the condition passes through a Mish first, which
    squashes its negative entries. Both are the reference's choices and are kept so that its weights fit.
    """

    def __init__(self, cond_dim: int, channels: int, predict_scale: bool) -> None:
        super().__init__()
        self.predict_scale = predict_scale
        self.projection = nn.Linear(cond_dim, 2 * channels if predict_scale else channels)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """x (B, C, T), cond (B, cond_dim) -> (B, C, T)."""
        modulation = self.projection(F.mish(cond))[:, :, None]  # (B, C or 2C, 1)
        if not self.predict_scale:
            return x + modulation
        scale, bias = modulation.chunk(2, dim=1)  # each (B, C, 1)
        return scale * x + bias


class ConditionalResidualBlock1D(nn.Module):
    """Two convolution blocks with the condition between them, and a way around.

        x ──┬─ block ── FiLM(cond) ── block ──(+)──
            └──────── 1x1 convolution ─────────┘

    Args:
        in_channels: channels of x.
        out_channels: channels of the result.
        cond_dim: length of the condition.
        kernel_size: steps that a convolution sees; odd.
        n_groups: groups of the norms; divides `out_channels`.
        cond_predict_scale: FiLM with scale and bias (True) or a bias alone (False).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        cond_dim: int,
        kernel_size: int = 3,
        n_groups: int = 8,
        cond_predict_scale: bool = False,
    ) -> None:
        super().__init__()
        self.block_in = Conv1dBlock(in_channels, out_channels, kernel_size, n_groups)
        self.film = FiLM(cond_dim, out_channels, cond_predict_scale)
        self.block_out = Conv1dBlock(out_channels, out_channels, kernel_size, n_groups)
        same = in_channels == out_channels
        self.residual = nn.Identity() if same else nn.Conv1d(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """x (B, in_channels, T), cond (B, cond_dim) -> (B, out_channels, T)."""
        out = self.block_in(x)  # (B, out_channels, T)
        out = self.film(out, cond)
        out = self.block_out(out)
        return out + self.residual(x)


# ------------------------------------------------------------------------------------------------
# checking what comes in
# ------------------------------------------------------------------------------------------------


def check_embedding(name: str, dim: int) -> None:
    """Refuses a length that sines and cosines cannot share.

    Raises:
        ConfigError: if it is odd or below 4.
    """
    if dim < 4 or dim % 2:
        raise ConfigError(f"{name} is {dim}; it must be even and at least 4")


def check_shape(name: str, tensor: Tensor, **axes: int | None) -> None:
    """Refuses a tensor that has not the expected axes.

    Args:
        name: how the tensor is called in the message.
        tensor: the tensor.
        **axes: the legend's letter of each axis and its length, None for any.

    Raises:
        ConfigError: naming the tensor, the shape found and the shape wanted, or a type that is not a float.
    """
    fits = tensor.ndim == len(axes) and all(
        wanted in (None, found) for wanted, found in zip(axes.values(), tensor.shape, strict=True)
    )
    if not fits:
        letters = ", ".join(axes)
        wanted = ", ".join("any" if length is None else str(length) for length in axes.values())
        raise ConfigError(f"{name} has shape {tuple(tensor.shape)}; it must be ({letters}) = ({wanted})")
    if not tensor.is_floating_point():
        raise ConfigError(f"{name} is of type {tensor.dtype}; it must be a floating-point tensor")


def batch_timesteps(timestep: int | Tensor, batch_size: int, device: torch.device) -> Tensor:
    """The diffusion step of each sample.

    Args:
        timestep: one step for all (int, tensor () or (1,)) or one each (B,).
        batch_size: B.
        device: where the result is needed.

    Returns:
        (B,).

    Raises:
        ConfigError: for another shape.
    """
    timesteps = torch.as_tensor(timestep, device=device)
    if timesteps.ndim > 1 or (timesteps.ndim == 1 and timesteps.shape[0] not in (1, batch_size)):
        raise ConfigError(
            f"timestep has shape {tuple(timesteps.shape)}; it must be one step, or (B,) = ({batch_size},)"
        )
    return timesteps.expand(batch_size)
