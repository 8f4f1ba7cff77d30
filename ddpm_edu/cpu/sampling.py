"""Switching faster sampling on and off."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_edu.cpu import packed, transformer_sampling, unet_sampling
from ddpm_edu.cpu.training import computes_plainly, say_once
from ddpm_edu.denoisers.transformer import TransformerForDiffusion
from ddpm_edu.denoisers.unet import ConditionalUnet1D

PREPARATIONS: dict[type[nn.Module], Callable[..., Callable[[Tensor, Tensor], Tensor]]] = {
    ConditionalUnet1D: unet_sampling.prepare,
    TransformerForDiffusion: transformer_sampling.PreparedTransformer,
}


def accelerate_sampling(policy: nn.Module, on: bool = True) -> bool:
    """Makes the denoiser's sampling on a CPU faster; its numbers stay the same to float32's accuracy.

    What does not depend on the denoising step is computed once for each call: FiLM's linear layers (the half
    that sees the observation once, the half that sees the diffusion step for all steps together), keys and
    values of the transformer's cross-attention. Convolutions become matrix products over packed weights.
    These are a copy: a second time the weights' memory. They follow the weights when these change.

    The denoiser gets a method `prepare_sampling`, which `DiffusionPolicy.conditional_sample` uses. Where it
    cannot be used (another device or type, autocast, forward hooks, attention maps being kept, training mode)
    the plain modules work as before.

    Args:
        policy: a policy, or a denoiser.
        on: False takes it back.

    Returns:
        Whether the denoiser now samples faster; if it cannot, the log (level INFO) says why.
    """
    denoiser = getattr(policy, "denoiser", policy)
    denoiser.__dict__.pop("prepare_sampling", None)
    if not on:
        return False
    if type(denoiser) not in PREPARATIONS:
        say_once(f"no faster sampling for {type(denoiser).__name__}: nothing is known about it")
        return False
    if not packed.is_available():
        say_once("no faster sampling: this build of PyTorch is without oneDNN")
        return False
    denoiser.prepare_sampling = partial(prepare_sampling, denoiser)
    return True


def prepare_sampling(
    denoiser: nn.Module, noise_scheduler: Any, **inputs: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """The denoiser as a function (trajectory (B, T, D), timestep ()) -> prediction, its conditions bound.

    Args:
        denoiser: one of those in `PREPARATIONS`.
        noise_scheduler: its `timesteps` are read when the first step is taken.
        **inputs: what the denoiser takes beside trajectory and step.
    """

    def plain(trajectory: Tensor, timestep: Tensor) -> Tensor:
        return denoiser(trajectory, timestep, **inputs)

    looked_into = any(getattr(part, "kept_maps", None) is not None for part in denoiser.modules())
    if looked_into or denoiser.training or not computes_plainly(denoiser, *inputs.values()):
        return plain
    fast = PREPARATIONS[type(denoiser)](denoiser, noise_scheduler, **inputs)
    return lambda trajectory, timestep: (fast if _fits(trajectory) else plain)(trajectory, timestep)


def _fits(trajectory: Tensor) -> bool:
    return trajectory.dtype == torch.float32 and trajectory.device.type == "cpu"
