"""A UNet over the time axis of a trajectory: the convolutional denoiser of Diffusion Policy.

Chi et al. 2023, "Diffusion Policy", section III-A; the architecture goes back to Janner et al. 2022,
"Planning with Diffusion for Flexible Behavior Synthesis".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ddpm_edu.denoisers.base import DENOISERS, DenoiserConfig, DenoiserPreset, DenoiserSpec
from ddpm_edu.denoisers.blocks import (
    ConditionalResidualBlock1D,
    Conv1dBlock,
    DiffusionStepEncoder,
    Downsample1d,
    Upsample1d,
    batch_timesteps,
    check_embedding,
    check_shape,
)
from ddpm_edu.errors import ConfigError
from ddpm_edu.settings import at_least, number

FINAL_GROUPS = 8
"""Groups of the last norm: the reference does not pass `n_groups` on to it."""


@DENOISERS.register
@dataclass(frozen=True)
class UnetConfig(DenoiserConfig):
    """Size of the convolutional denoiser (Chi et al. 2023, section III-A)."""

    name: ClassVar[str] = "unet"
    title: ClassVar[str] = "UNet"
    conditionings: ClassVar[tuple[str, ...]] = ("global", "local", "inpainting")
    where: ClassVar[str] = "unet."

    down_dims: tuple[int, ...] = number((256, 512, 1024), least=1, most=8192)
    """Channels of each level; every level but the last halves the trajectory's length."""
    diffusion_step_embed_dim: int = number(256, least=4, most=8192)
    """Features that tell the network which diffusion step it is at."""
    kernel_size: int = number(5, least=1, most=99)
    """Trajectory steps that one convolution sees; odd."""
    n_groups: int = number(8, least=1)
    """Groups of GroupNorm; divides every entry of `down_dims`."""
    cond_predict_scale: bool = True
    """FiLM predicts scale and bias (True) or a bias alone (False)."""
    reference_compatible: bool = False
    """Keep the reference's dead second local encoder, so that its checkpoints give the same outputs."""

    @classmethod
    def preset(cls, name: str, observation: str) -> DenoiserPreset:
        if name == "laptop":
            return DenoiserPreset(cls(down_dims=(64, 128, 256), diffusion_step_embed_dim=128))
        if observation == "image":
            sizes = cls(down_dims=(512, 1024, 2048), diffusion_step_embed_dim=128)
        else:
            sizes = cls()
        return DenoiserPreset(sizes, training={"learning_rate": 1e-4})

    def check(self, trajectory_steps: int, setting: str) -> None:
        check_sizes(self.down_dims, self.kernel_size, self.n_groups)
        check_embedding("unet.diffusion_step_embed_dim", self.diffusion_step_embed_dim)
        stride = 2 ** (len(self.down_dims) - 1)
        if trajectory_steps % stride:
            divisible = -(-trajectory_steps // stride) * stride
            raise ConfigError(
                f"{setting} {trajectory_steps} is not divisible by {stride} = 2^({len(self.down_dims)} - 1), "
                f"the product of the strides; take a {setting} of {divisible}, or fewer levels in "
                "unet.down_dims"
            )

    def build(self, spec: DenoiserSpec) -> ConditionalUnet1D:
        return ConditionalUnet1D(
            input_dim=spec.trajectory_dim,
            local_cond_dim=spec.local_feature_dim or None,
            global_cond_dim=spec.n_obs_steps * spec.feature_dim or None,
            **vars(self),
        )

    def inputs(
        self, features: Tensor | None = None, local_features: Tensor | None = None
    ) -> dict[str, Tensor]:
        if features is not None:
            return {"global_cond": features.flatten(start_dim=1)}  # (B, To*Do)
        return {} if local_features is None else {"local_cond": local_features}  # (B, T, Do)


def check_sizes(down_dims: Sequence[int], kernel_size: int, n_groups: int) -> None:
    """Refuses sizes of which no UNet can be built.

    Raises:
        ConfigError: with the numbers.
    """
    if len(down_dims) == 0 or min(down_dims) < 1:
        raise ConfigError(f"down_dims is {down_dims}; it must have at least one level, of at least 1 channel")
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ConfigError(
            f"kernel_size is {kernel_size}; it must be odd, or the trajectory would change its length"
        )
    for channels in down_dims:
        if n_groups < 1 or channels % n_groups:
            raise ConfigError(
                f"n_groups {n_groups} does not divide {channels}, an entry of down_dims {down_dims}"
            )


class UnetLevel(nn.Module):
    """Two residual blocks at one resolution, then a change of resolution (or none)."""

    def __init__(self, first: nn.Module, second: nn.Module, resample: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.resample = resample


class ConditionalUnet1D(nn.Module):
    """Predicts the noise in a trajectory, given the diffusion step and what was observed.

        down 0   T    steps, down_dims[0] channels                          final ─► (B, T, Da)
          down 1   T/2  steps, down_dims[1] channels ─── skip ────► up 1 ─┘
            down 2   T/4  steps, down_dims[2] channels ─ skip ─► up 0 ┘
                       └──────────── middle ──────────────────────┘

    Every level but the last halves the number of steps, so L levels need a horizon divisible by 2^(L-1).
    The step's embedding and the global condition reach every residual block through FiLM. A local condition
    has one vector per trajectory step; two encoders bring it in at full resolution, one on the way down and
    one on the way up.

    Args:
        input_dim: Da, or Da+Do with inpainting.
        local_cond_dim: entries per step of the local condition, or None for none.
        global_cond_dim: entries of the global condition (To·Do), or None for none.
        diffusion_step_embed_dim: entries of the step's embedding; even.
        down_dims: channels of each level.
        kernel_size: trajectory steps that a convolution sees; odd.
        n_groups: groups of GroupNorm; divides every entry of `down_dims`.
        cond_predict_scale: FiLM predicts scale and bias (True) or a bias alone (False).
        reference_compatible: keep the reference's second local encoder dead. There its output is never
            used (conditional_unet1d.py line 233: the index can never equal the length), though its
            parameters are in every checkpoint. True gives the outputs its checkpoints were trained for.
            Mending that condition in place would fail: inside the last level on the way up the trajectory
            still has half its steps. Here (False) the encoding is added after it, at full resolution.

    Raises:
        ConfigError: for sizes that do not fit, with the numbers.
    """

    def __init__(
        self,
        input_dim: int,
        local_cond_dim: int | None = None,
        global_cond_dim: int | None = None,
        diffusion_step_embed_dim: int = UnetConfig.diffusion_step_embed_dim,
        down_dims: Sequence[int] = UnetConfig.down_dims,
        kernel_size: int = UnetConfig.kernel_size,
        n_groups: int = UnetConfig.n_groups,
        cond_predict_scale: bool = UnetConfig.cond_predict_scale,
        reference_compatible: bool = UnetConfig.reference_compatible,
    ) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.local_cond_dim = local_cond_dim
        self.global_cond_dim = global_cond_dim
        self.down_dims = tuple(down_dims)
        self.reference_compatible = reference_compatible
        at_least("input_dim", input_dim)
        check_sizes(self.down_dims, kernel_size, n_groups)

        cond_dim = diffusion_step_embed_dim + (global_cond_dim or 0)

        def residual_block(in_channels: int, out_channels: int) -> ConditionalResidualBlock1D:
            return ConditionalResidualBlock1D(
                in_channels, out_channels, cond_dim, kernel_size, n_groups, cond_predict_scale
            )

        # ---- conditions ------------------------------------------------------------------------
        self.step_encoder = DiffusionStepEncoder(diffusion_step_embed_dim)
        start_dim = self.down_dims[0]
        if local_cond_dim is not None:
            self.local_encoder_down = residual_block(local_cond_dim, start_dim)
            self.local_encoder_up = residual_block(local_cond_dim, start_dim)

        # ---- down ------------------------------------------------------------------------------
        level_dims = list(zip((input_dim, *self.down_dims[:-1]), self.down_dims, strict=True))
        self.down_levels = nn.ModuleList()
        for level, (dim_in, dim_out) in enumerate(level_dims):
            is_last = level == len(level_dims) - 1
            resample = nn.Identity() if is_last else Downsample1d(dim_out)
            first, second = residual_block(dim_in, dim_out), residual_block(dim_out, dim_out)
            self.down_levels.append(UnetLevel(first, second, resample))

        # ---- middle ----------------------------------------------------------------------------
        middle_dim = self.down_dims[-1]
        self.middle = nn.ModuleList([residual_block(middle_dim, middle_dim) for _ in range(2)])

        # ---- up --------------------------------------------------------------------------------
        self.up_levels = nn.ModuleList()
        for dim_in, dim_out in reversed(level_dims[1:]):
            # Twice the channels: what comes up, and what the same resolution left on the way down.
            first = residual_block(2 * dim_out, dim_in)
            self.up_levels.append(UnetLevel(first, residual_block(dim_in, dim_in), Upsample1d(dim_in)))

        # ---- out -------------------------------------------------------------------------------
        final_groups = FINAL_GROUPS if start_dim % FINAL_GROUPS == 0 else n_groups
        self.final_block = Conv1dBlock(start_dim, start_dim, kernel_size, final_groups)
        self.final_projection = nn.Conv1d(start_dim, input_dim, kernel_size=1)

    @property
    def horizon_divisor(self) -> int:
        """The product of all strides: trajectories must be a multiple of this long."""
        return 2 ** (len(self.down_dims) - 1)

    def forward(
        self,
        sample: Tensor,
        timestep: int | Tensor,
        local_cond: Tensor | None = None,
        global_cond: Tensor | None = None,
    ) -> Tensor:
        """Predicts the noise (or what it was trained for) in a batch of trajectories.

        Args:
            sample: (B, T, input_dim) noisy trajectories, of any floating-point type.
            timestep: the diffusion step: int, or tensor () or (B,).
            local_cond: (B, T, local_cond_dim).
            global_cond: (B, global_cond_dim).

        Returns:
            (B, T, input_dim), of the type of `sample`.

        Raises:
            ConfigError: for a shape that does not fit, a missing condition, or a horizon that the strides
                do not divide.
        """
        self._check_inputs(sample, local_cond, global_cond)
        dtype = self.final_projection.weight.dtype

        # 1. what is known: the diffusion step and the global condition
        cond = self.step_encoder(batch_timesteps(timestep, sample.shape[0], sample.device))  # (B, dsed)
        if global_cond is not None:
            cond = torch.cat([cond, global_cond.to(dtype)], dim=-1)  # (B, dsed+Dg)

        # 2. what is known of each step
        if local_cond is not None:
            local_cond = local_cond.to(dtype).movedim(1, 2)  # (B, Dl, T)

        # 3. down: fewer steps, more channels
        x = sample.to(dtype).movedim(1, 2)  # (B, Da, T)
        skips = []
        for level, down in enumerate(self.down_levels):
            x = down.first(x, cond)  # (B, down_dims[level], T/2^level)
            if level == 0 and local_cond is not None:
                x = x + self.local_encoder_down(local_cond, cond)
            x = down.second(x, cond)
            skips.append(x)
            x = down.resample(x)

        # 4. middle
        for block in self.middle:
            x = block(x, cond)  # (B, down_dims[-1], T/2^(L-1))

        # 5. up: what was seen at each resolution comes back. The top level's own skip stays unused.
        for up in self.up_levels:
            x = torch.cat([x, skips.pop()], dim=1)  # twice the channels
            x = up.first(x, cond)
            x = up.second(x, cond)
            x = up.resample(x)  # twice the steps
        if local_cond is not None and not self.reference_compatible:
            x = x + self.local_encoder_up(local_cond, cond)  # (B, down_dims[0], T)

        # 6. out
        x = self.final_projection(self.final_block(x))  # (B, Da, T)
        return x.movedim(1, 2).to(sample.dtype)  # (B, T, Da)

    # ---- refusing what cannot work -------------------------------------------------------------

    def _check_inputs(self, sample: Tensor, local_cond: Tensor | None, global_cond: Tensor | None) -> None:
        check_shape("sample", sample, B=None, T=None, Da=self.input_dim)
        B, T, _ = sample.shape
        if T == 0 or T % self.horizon_divisor:
            divisor, levels = self.horizon_divisor, len(self.down_dims)
            fitting = max(1, -(-T // divisor)) * divisor
            raise ConfigError(
                f"the trajectory has {T} steps, which {divisor} = 2^({levels} - 1), the product of the "
                f"UNet's strides, does not divide; take a horizon of {fitting}, or fewer levels than the "
                f"{levels} of down_dims {self.down_dims}"
            )
        for name, cond, dim in (
            ("global_cond", global_cond, self.global_cond_dim),
            ("local_cond", local_cond, self.local_cond_dim),
        ):
            if (cond is None) != (dim is None):
                found = "missing" if cond is None else f"of shape {tuple(cond.shape)}"
                wanted = "without one" if dim is None else f"with {name}_dim {dim}"
                raise ConfigError(f"{name} is {found}, but this UNet was built {wanted}")
        if global_cond is not None:
            check_shape("global_cond", global_cond, B=B, Dg=self.global_cond_dim)
        if local_cond is not None:
            check_shape("local_cond", local_cond, B=B, T=T, Dl=self.local_cond_dim)
