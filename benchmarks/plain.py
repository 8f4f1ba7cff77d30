"""What the benchmarks compare with: the project outline's networks and loops, written down plainly.

PyTorch's own modules in the arrangement of Chi et al. 2023 (modules bear the reference implementation's
names, so that our weights load through `ddpm_edu.reference.denoiser_names`); AdamW and the moving average
of the weights as a loop over parameters, as the reference has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_edu.denoisers import ConditionalUnet1D, TransformerForDiffusion
from ddpm_edu.denoisers.blocks import SinusoidalPosEmb, batch_timesteps
from ddpm_edu.reference.denoiser_names import transformer_state_to_reference, unet_state_to_reference


class Block(nn.Module):
    """Convolution, norm, activation."""

    def __init__(self, dim_in: int, dim_out: int, kernel_size: int, n_groups: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(dim_in, dim_out, kernel_size, padding=kernel_size // 2),
            nn.GroupNorm(n_groups, dim_out),
            nn.Mish(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class ResidualBlock(nn.Module):
    """Two blocks with FiLM between them."""

    def __init__(
        self, dim_in: int, dim_out: int, cond_dim: int, kernel_size: int, n_groups: int, scale: bool
    ):
        super().__init__()
        self.blocks = nn.ModuleList(
            [Block(dim_in, dim_out, kernel_size, n_groups), Block(dim_out, dim_out, kernel_size, n_groups)]
        )
        self.scale = scale
        self.cond_encoder = nn.Sequential(nn.Mish(), nn.Linear(cond_dim, 2 * dim_out if scale else dim_out))
        self.residual_conv = nn.Conv1d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        out = self.blocks[0](x)
        embedding = self.cond_encoder(cond)[:, :, None]
        if self.scale:
            scale, bias = embedding.chunk(2, dim=1)
            out = scale * out + bias
        else:
            out = out + embedding
        return self.blocks[1](out) + self.residual_conv(x)


class Resample(nn.Module):
    """One (transposed) convolution."""

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PlainUnet(nn.Module):
    """The UNet with global conditioning, with the weights of ours."""

    def __init__(self, ours: ConditionalUnet1D):
        super().__init__()
        first = ours.down_levels[0].first
        step_dim, kernel_size = (
            ours.step_encoder.contract.out_features,
            first.block_in.convolution.kernel_size[0],
        )
        n_groups, scale = first.block_in.norm.num_groups, first.film.predict_scale
        cond_dim = step_dim + (ours.global_cond_dim or 0)
        dims = list(zip((ours.input_dim, *ours.down_dims[:-1]), ours.down_dims, strict=True))

        def residual(dim_in: int, dim_out: int) -> ResidualBlock:
            return ResidualBlock(dim_in, dim_out, cond_dim, kernel_size, n_groups, scale)

        self.diffusion_step_encoder = nn.Sequential(
            SinusoidalPosEmb(step_dim),
            nn.Linear(step_dim, 4 * step_dim),
            nn.Mish(),
            nn.Linear(4 * step_dim, step_dim),
        )
        self.down_modules = nn.ModuleList()
        for level, (dim_in, dim_out) in enumerate(dims):
            last = level == len(dims) - 1
            down = nn.Identity() if last else Resample(nn.Conv1d(dim_out, dim_out, 3, 2, 1))
            self.down_modules.append(
                nn.ModuleList([residual(dim_in, dim_out), residual(dim_out, dim_out), down])
            )
        middle = ours.down_dims[-1]
        self.mid_modules = nn.ModuleList([residual(middle, middle), residual(middle, middle)])
        self.up_modules = nn.ModuleList()
        for dim_in, dim_out in reversed(dims[1:]):
            up = Resample(nn.ConvTranspose1d(dim_in, dim_in, 4, 2, 1))
            self.up_modules.append(
                nn.ModuleList([residual(2 * dim_out, dim_in), residual(dim_in, dim_in), up])
            )
        start = ours.down_dims[0]
        self.final_conv = nn.Sequential(
            Block(start, start, kernel_size, 8), nn.Conv1d(start, ours.input_dim, 1)
        )
        self.load_state_dict(unet_state_to_reference(ours.state_dict()))

    def forward(self, sample: Tensor, timestep: Tensor, global_cond: Tensor) -> Tensor:
        cond = self.diffusion_step_encoder(batch_timesteps(timestep, len(sample), sample.device))
        cond = torch.cat([cond, global_cond], dim=-1)
        x, skips = sample.movedim(1, 2), []
        for first, second, down in self.down_modules:
            x = second(first(x, cond), cond)
            skips.append(x)
            x = down(x)
        for block in self.mid_modules:
            x = block(x, cond)
        for first, second, up in self.up_modules:
            x = torch.cat([x, skips.pop()], dim=1)
            x = up(second(first(x, cond), cond))
        return self.final_conv(x).movedim(1, 2)


class PlainTransformer(nn.Module):
    """The decoder with time as a condition token and the perceptron as condition encoder, our weights."""

    def __init__(self, ours: TransformerForDiffusion):
        super().__init__()
        E, first = ours.input_position.shape[2], ours.layers[0]
        self._dummy_variable = nn.Parameter(torch.empty(0))
        self.input_emb, self.cond_obs_emb = nn.Linear(ours.input_dim, E), nn.Linear(ours.cond_dim, E)
        self.time_emb = SinusoidalPosEmb(E)
        self.pos_emb = nn.Parameter(torch.empty_like(ours.input_position))
        self.cond_pos_emb = nn.Parameter(torch.empty_like(ours.cond_position))
        self.drop = nn.Dropout(ours.dropout.p)
        self.encoder = nn.Sequential(nn.Linear(E, 4 * E), nn.Mish(), nn.Linear(4 * E, E))
        layer = nn.TransformerDecoderLayer(
            E, first.self_attention.n_head, 4 * E, first.self_attention.p_drop, "gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.decoder = nn.TransformerDecoder(layer, len(ours.layers))
        self.ln_f, self.head = nn.LayerNorm(E), nn.Linear(E, ours.head.out_features)
        self.register_buffer(
            "mask", None if ours.causal_mask is None else torch.empty(ours.causal_mask.shape)
        )
        self.register_buffer(
            "memory_mask", None if ours.memory_mask is None else torch.empty(ours.memory_mask.shape)
        )
        self.load_state_dict(transformer_state_to_reference(ours.state_dict()))

    def forward(self, sample: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
        time = self.time_emb(batch_timesteps(timestep, len(sample), sample.device))[:, None]
        memory = torch.cat([time, self.cond_obs_emb(cond)], dim=1)
        memory = self.encoder(self.drop(memory + self.cond_pos_emb[:, : memory.shape[1]]))
        x = self.input_emb(sample)
        x = self.drop(x + self.pos_emb[:, : x.shape[1]])
        x = self.decoder(x, memory, tgt_mask=self.mask, memory_mask=self.memory_mask)
        return self.head(self.ln_f(x))


def plain_denoiser(ours: nn.Module) -> nn.Module:
    """The plain network with the weights of ours, in the same mode."""
    kind = PlainUnet if isinstance(ours, ConditionalUnet1D) else PlainTransformer
    return kind(ours).train(ours.training)


@torch.no_grad()
def plain_sample(
    model: nn.Module,
    scheduler: Any,
    condition_data: Tensor,
    steps: int,
    generator: torch.Generator,
    **inputs: Tensor,
) -> Tensor:
    """The project outline's `conditional_sample`."""
    condition_mask = torch.zeros_like(condition_data, dtype=torch.bool)
    trajectory = torch.randn(condition_data.shape, generator=generator)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        trajectory[condition_mask] = condition_data[condition_mask]
        model_output = model(trajectory, t, **inputs)
        trajectory = scheduler.step(model_output, t, trajectory, generator=generator).prev_sample
    trajectory[condition_mask] = condition_data[condition_mask]
    return trajectory


def plain_loss(
    model: nn.Module, scheduler: Any, trajectory: Tensor, noise: Tensor, timesteps: Tensor, **inputs: Tensor
) -> Tensor:
    """The project outline's `compute_loss`, from where the trajectory and the noise are there."""
    condition_mask = torch.zeros_like(trajectory, dtype=torch.bool)
    noisy_trajectory = scheduler.add_noise(trajectory, noise, timesteps)
    loss_mask = ~condition_mask
    noisy_trajectory[condition_mask] = trajectory[condition_mask]
    prediction = model(noisy_trajectory, timesteps, **inputs)
    loss = F.mse_loss(prediction, noise, reduction="none") * loss_mask.type(prediction.dtype)
    return loss.flatten(start_dim=1).mean(dim=1).mean()


def plain_average(average: nn.Module, model: nn.Module) -> Callable[[float], None]:
    """The moving average as the reference updates it, one parameter after the other."""

    @torch.no_grad()
    def update(decay: float) -> None:
        for kept, current in zip(average.parameters(), model.parameters(), strict=True):
            kept.mul_(decay)
            kept.add_(current.data.to(dtype=kept.dtype), alpha=1 - decay)

    return update
