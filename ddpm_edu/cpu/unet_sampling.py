"""The UNet over packed weights, for sampling on a CPU; what no denoising step changes is computed once.

Step by step the same as `ConditionalUnet1D.forward`. Tensors are (B, T, C) throughout: a row of a
convolution's matrix product is k neighbouring steps, which lie together in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_edu.cpu.packed import ROWS, KeptWhileUnchanged, PackedLinear
from ddpm_edu.cpu.unet_training import residual_blocks
from ddpm_edu.denoisers.blocks import ConditionalResidualBlock1D, Conv1dBlock
from ddpm_edu.denoisers.unet import ConditionalUnet1D


class PackedConvolution:
    """A convolution over T as one matrix product: x (B, T, Ci) -> (B, T/stride, Co)."""

    def __init__(self, convolution: nn.Conv1d):
        self.k, self.stride = convolution.kernel_size[0], convolution.stride[0]
        weight = convolution.weight.transpose(1, 2).flatten(1)  # (Co, k*Ci)
        self.linear = PackedLinear(weight, convolution.bias, ROWS)

    def __call__(self, x: Tensor) -> Tensor:
        if self.k == 1:
            return self.linear(x)
        B, T, C = x.shape
        padded = F.pad(x, (0, 0, self.k // 2, self.k // 2))  # (B, T+k-1, Ci)
        strides = (padded.stride(0), self.stride * C, 1)
        rows = padded.as_strided((B, T // self.stride, self.k * C), strides)  # they overlap
        return self.linear(rows.contiguous())


class PackedUpsampling:
    """The transposed convolution of kernel 4, stride 2: x (B, T, Ci) -> (B, 2T, Co).

    From steps t-1, t, t+1 it makes steps 2t (taps 3 and 1) and 2t+1 (taps 2 and 0).
    """

    def __init__(self, convolution: nn.ConvTranspose1d):
        tap = [convolution.weight[:, :, j].t() for j in range(4)]  # each (Co, Ci)
        none = torch.zeros_like(tap[0])
        even, odd = torch.cat([tap[3], tap[1], none], dim=1), torch.cat([none, tap[2], tap[0]], dim=1)
        bias = torch.cat([convolution.bias, convolution.bias])
        self.linear = PackedLinear(torch.cat([even, odd]), bias, ROWS)  # (2*Co, 3*Ci)

    def __call__(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        padded = F.pad(x, (0, 0, 1, 1))  # (B, T+2, Ci)
        rows = padded.as_strided((B, T, 3 * C), (padded.stride(0), C, 1)).contiguous()
        return self.linear(rows).view(B, 2 * T, -1)


class PackedConvBlock:
    """Convolution, GroupNorm, Mish: x (B, T, Ci) -> (B, G, T, Co/G), as the norm leaves it."""

    def __init__(self, block: Conv1dBlock):
        self.convolution = PackedConvolution(block.convolution)
        self.n_groups, self.eps = block.norm.num_groups, block.norm.eps
        self.weight = block.norm.weight.detach().clone().view(self.n_groups, 1, -1)  # (G, 1, Co/G)
        self.bias = block.norm.bias.detach().clone().view(self.n_groups, 1, -1)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.convolution(x)  # (B, T, Co)
        x = x.unflatten(2, (self.n_groups, -1)).transpose(1, 2)  # (B, G, T, Co/G)
        x = F.layer_norm(x, x.shape[2:], eps=self.eps)
        return F.mish(torch.addcmul(self.bias, x, self.weight))


def _ungroup(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (B, G, T, C/G) -> (B, T, C)


class PackedResidualBlock:
    """x (B, T, Ci), modulation (B, C or 2C) -> (B, T, Co)."""

    def __init__(self, block: ConditionalResidualBlock1D):
        self.block_in, self.block_out = PackedConvBlock(block.block_in), PackedConvBlock(block.block_out)
        self.predict_scale = block.film.predict_scale
        plain = isinstance(block.residual, nn.Identity)
        self.residual = None if plain else PackedConvolution(block.residual)

    def __call__(self, x: Tensor, modulation: Tensor) -> Tensor:
        out = self.block_in(x)  # (B, G, T, C/G)
        parts = modulation.view(len(modulation), -1, out.shape[1], 1, out.shape[3])  # (B, 1 or 2, G, 1, C/G)
        out = torch.addcmul(parts[:, 1], out, parts[:, 0]) if self.predict_scale else out + parts[:, 0]
        out = _ungroup(self.block_out(_ungroup(out)))
        return out + (x if self.residual is None else self.residual(x))


class PackedUnet:
    """All of a UNet's weights, packed: as much memory again as the UNet takes."""

    def __init__(self, unet: ConditionalUnet1D):
        self.has_local = unet.local_cond_dim is not None
        self.uses_local_up = self.has_local and not unet.reference_compatible
        blocks = residual_blocks(unet, self.has_local, self.uses_local_up)
        self.blocks = [PackedResidualBlock(block) for block in blocks]  # in the order of their use
        resamples = [down.resample for down in unet.down_levels]
        self.downs = [
            None if isinstance(r, nn.Identity) else PackedConvolution(r.convolution) for r in resamples
        ]
        self.n_middle = len(unet.middle)
        self.ups = [PackedUpsampling(up.resample.convolution) for up in unet.up_levels]
        self.final_block = PackedConvBlock(unet.final_block)
        self.final_projection = PackedConvolution(unet.final_projection)

        # FiLM's linear layers, all in one, split into what sees the step and what sees the observation.
        projections = [block.film.projection for block in blocks]
        weight = torch.cat([projection.weight.detach() for projection in projections])  # (M, dsed+Dg)
        self.step_dim = unet.step_encoder.contract.out_features
        self.step_weight = weight[:, : self.step_dim].contiguous()  # (M, dsed)
        self.global_weight = weight[:, self.step_dim :].contiguous()  # (M, Dg)
        self.film_bias = torch.cat([projection.bias.detach() for projection in projections])  # (M,)
        self.film_sizes = [projection.out_features for projection in projections]

    def forward(self, x: Tensor, modulation: Tensor, local_cond: Tensor | None) -> Tensor:
        """x (B, T, Da), modulation (B, M), local_cond (B, T, Dl) -> (B, T, Da)."""
        blocks = self._modulated(modulation)
        skips = []
        for level, down in enumerate(self.downs):
            x = next(blocks)(x)
            if level == 0 and local_cond is not None:
                x = x + next(blocks)(local_cond)
            x = next(blocks)(x)
            skips.append(x)
            x = x if down is None else down(x)
        for _ in range(self.n_middle):
            x = next(blocks)(x)
        for up in self.ups:
            x = next(blocks)(torch.cat([x, skips.pop()], dim=2))
            x = up(next(blocks)(x))
        if local_cond is not None and self.uses_local_up:
            x = x + next(blocks)(local_cond)
        return self.final_projection(_ungroup(self.final_block(x)))

    def _modulated(self, modulation: Tensor) -> Iterator[Callable[[Tensor], Tensor]]:
        for block, part in zip(self.blocks, modulation.split(self.film_sizes, dim=1), strict=True):
            yield lambda x, block=block, part=part: block(x, part)


packed_unet: KeptWhileUnchanged[PackedUnet] = KeptWhileUnchanged(PackedUnet)


def prepare(
    unet: ConditionalUnet1D,
    noise_scheduler: Any,
    local_cond: Tensor | None = None,
    global_cond: Tensor | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """What depends on the observation, before the first denoising step; see `accelerate_sampling`."""
    packed = packed_unet(unet)
    observed = packed.film_bias  # (M,)
    if global_cond is not None:
        observed = F.linear(F.mish(global_cond), packed.global_weight, packed.film_bias)  # (B, M)
    of_steps: dict[int, Tensor] = {}

    def compute_steps(timesteps: Tensor) -> None:
        embedding = F.mish(unet.step_encoder(timesteps))  # (K, dsed)
        of_steps.update(
            zip(timesteps.tolist(), F.linear(embedding, packed.step_weight), strict=True)
        )  # each (M,)

    @torch.no_grad()
    def denoise(trajectory: Tensor, timestep: Tensor) -> Tensor:
        if not of_steps:  # the first step: only now the schedule is set
            unet._check_inputs(trajectory, local_cond, global_cond)
            compute_steps(noise_scheduler.timesteps)
        if timestep.item() not in of_steps:
            compute_steps(timestep.reshape(1))
        modulation = (observed + of_steps[timestep.item()]).expand(len(trajectory), -1)  # (B, M)
        return packed.forward(trajectory, modulation, local_cond)

    return denoise
