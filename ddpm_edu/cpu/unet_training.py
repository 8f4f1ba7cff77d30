"""The UNet's forward pass on time-major tensors, for training on a CPU: the same numbers, less waiting.

Step by step the same as `ConditionalUnet1D.forward`; read that one to understand the network.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_edu.cpu import time_major
from ddpm_edu.denoisers.blocks import ConditionalResidualBlock1D, Conv1dBlock, batch_timesteps
from ddpm_edu.denoisers.unet import ConditionalUnet1D


def forward(
    unet: ConditionalUnet1D,
    sample: Tensor,
    timestep: int | Tensor,
    local_cond: Tensor | None = None,
    global_cond: Tensor | None = None,
) -> Tensor:
    """`ConditionalUnet1D.forward`, over float32 tensors on the CPU. See there for arguments and errors."""
    unet._check_inputs(sample, local_cond, global_cond)
    cond = unet.step_encoder(batch_timesteps(timestep, len(sample), sample.device))  # (B, dsed)
    if global_cond is not None:
        cond = torch.cat([cond, global_cond], dim=-1)  # (B, dsed+Dg)

    use_local_up = local_cond is not None and not unet.reference_compatible
    modulations = iter(_modulations(residual_blocks(unet, local_cond is not None, use_local_up), cond))
    if local_cond is not None:
        local_cond = local_cond.transpose(0, 1).contiguous()  # (T, B, Dl)

    x = sample.transpose(0, 1).contiguous()  # (T, B, Da)
    skips = []
    for level, down in enumerate(unet.down_levels):
        x = _residual_block(down.first, x, modulations)  # (T/2^level, B, down_dims[level])
        if level == 0 and local_cond is not None:
            x = x + _residual_block(unet.local_encoder_down, local_cond, modulations)
        x = _residual_block(down.second, x, modulations)
        skips.append(x)
        if not isinstance(down.resample, nn.Identity):
            convolution = down.resample.convolution
            x = time_major.downsample(x, convolution.weight, convolution.bias)
    for block in unet.middle:
        x = _residual_block(block, x, modulations)
    for up in unet.up_levels:
        x = torch.cat([x, skips.pop()], dim=2)
        x = _residual_block(up.first, x, modulations)
        x = _residual_block(up.second, x, modulations)
        convolution = up.resample.convolution
        x = time_major.upsample(x, convolution.weight, convolution.bias)
    if use_local_up:
        x = x + _residual_block(unet.local_encoder_up, local_cond, modulations)

    x = _conv_block(unet.final_block, x)  # (T, B, down_dims[0])
    x = time_major.convolution(x, unet.final_projection.weight, unet.final_projection.bias)  # (T, B, Da)
    return x.transpose(0, 1)  # (B, T, Da)


def residual_blocks(
    unet: ConditionalUnet1D, local_down: bool, local_up: bool
) -> list[ConditionalResidualBlock1D]:
    """All residual blocks that a forward pass uses, in the order in which it uses them."""
    blocks = []
    for level, down in enumerate(unet.down_levels):
        blocks.append(down.first)
        if level == 0 and local_down:
            blocks.append(unet.local_encoder_down)
        blocks.append(down.second)
    blocks.extend(unet.middle)
    for up in unet.up_levels:
        blocks.extend((up.first, up.second))
    if local_up:
        blocks.append(unet.local_encoder_up)
    return blocks


def _modulations(blocks: list[ConditionalResidualBlock1D], cond: Tensor) -> tuple[Tensor, ...]:
    """What FiLM says to each block (B, C or 2C): one linear layer for all of them, one Mish."""
    projections = [block.film.projection for block in blocks]
    weight = torch.cat([projection.weight for projection in projections])  # (sum of C or 2C, cond_dim)
    bias = torch.cat([projection.bias for projection in projections])
    modulation = time_major.linear(F.mish(cond), weight, bias)  # (B, sum of C or 2C)
    return modulation.split([projection.out_features for projection in projections], dim=1)


def _residual_block(block: ConditionalResidualBlock1D, x: Tensor, modulations: Iterator[Tensor]) -> Tensor:
    out, modulation = _conv_block(block.block_in, x), next(modulations)  # (T, B, C), (B, C or 2C)
    if block.film.predict_scale:
        scale, bias = modulation.chunk(2, dim=1)  # each (B, C)
        out = torch.addcmul(bias, out, scale)
    else:
        out = out + modulation
    out = _conv_block(block.block_out, out)
    if isinstance(block.residual, nn.Identity):
        return out + x
    return out + time_major.convolution(x, block.residual.weight, block.residual.bias)


def _conv_block(block: Conv1dBlock, x: Tensor) -> Tensor:
    x = time_major.convolution(x, block.convolution.weight, block.convolution.bias)
    return time_major.norm_mish(x, block.norm.weight, block.norm.bias, block.norm.num_groups, block.norm.eps)
