"""Faster sampling: by itself where it is faster, always or never where somebody says so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_edu.cpu import packed, transformer_sampling, unet_sampling
from ddpm_edu.cpu.training import computes_plainly, fast_or_plain, say_once
from ddpm_edu.denoisers.transformer import TransformerForDiffusion
from ddpm_edu.denoisers.unet import ConditionalUnet1D
from ddpm_edu.diffusion.sampling import Denoise
from ddpm_edu.machine import memory_bytes

MAX_BATCH = 32
"""From this many trajectories on, matrix products take the time, and the plain modules do them as well."""
MIN_STEPS = 4
"""Packing the weights takes about as long as two plain steps of one trajectory."""
MEMORY_SHARE = 8
"""The packed copy may take one part in so many of the machine's memory."""

PREPARATIONS: dict[type[nn.Module], Callable[..., Denoise]] = {
    ConditionalUnet1D: unet_sampling.prepare,
    TransformerForDiffusion: transformer_sampling.PreparedTransformer,
}


def accelerate_sampling(policy: nn.Module, on: bool = True) -> bool:
    """Switches faster sampling on a CPU on or off; numbers stay the same to float32's accuracy.

    Without a word from anybody it is used where it is known to be faster, see `bind`.

    What does not depend on the denoising step is computed once for each call: FiLM's linear layers (the half
    that sees the observation once, the half that sees the diffusion step for all steps together), keys and
    values of the transformer's cross-attention. Convolutions become matrix products over packed weights.
    These are a copy: a second time the weights' memory. They follow the weights when these change.

    Switched on, the denoiser gets a method `prepare_sampling`, which is taken for any batch. Where it
    cannot be used (another device or type, autocast, forward hooks, attention maps being kept, training mode)
    the plain modules work as before.

    Args:
        policy: a policy, or a denoiser.
        on: False leaves sampling to the plain modules from now on, whatever is faster.

    Returns:
        Whether the denoiser now takes the faster way; if it cannot, the log (level INFO) says why.
    """
    denoiser = getattr(policy, "denoiser", policy)
    denoiser.__dict__.pop("prepare_sampling", None)
    if not on:
        denoiser.prepare_sampling = None
        return False
    if type(denoiser) not in PREPARATIONS:
        say_once(f"no faster sampling for {type(denoiser).__name__}: nothing is known about it")
        return False
    if not packed.is_available():
        say_once("no faster sampling: this build of PyTorch is without oneDNN")
        return False
    denoiser.prepare_sampling = partial(prepare_sampling, denoiser)
    return True


def bind(denoiser: nn.Module, noise_scheduler: Any, **inputs: Tensor) -> Denoise:
    """The denoiser with its conditions bound, computed the way that is faster; plainly in doubt.

    `accelerate_sampling` decides where it was called. Else packed weights are taken for small batches, enough
    steps, and a copy that is small beside the machine's memory, where nobody wants gradients.

    Args:
        denoiser: any denoiser.
        noise_scheduler: its `timesteps` are read when the first step is taken.
        **inputs: what the denoiser takes beside trajectory and step.
    """
    if "prepare_sampling" in denoiser.__dict__:
        if denoiser.prepare_sampling is not None:
            return denoiser.prepare_sampling(noise_scheduler, **inputs)
        return _plain(denoiser, inputs)
    if type(denoiser) not in PREPARATIONS or not packed.is_available():
        return _plain(denoiser, inputs)
    ways: list[Denoise] = []

    def denoise(trajectory: Tensor, timestep: Tensor) -> Tensor:
        if not ways:  # only now batch and schedule are known
            faster = _is_faster(denoiser, trajectory, noise_scheduler.timesteps)
            ways.append(
                prepare_sampling(denoiser, noise_scheduler, **inputs) if faster else _plain(denoiser, inputs)
            )
        return ways[0](trajectory, timestep)

    return denoise


def _is_faster(denoiser: nn.Module, trajectory: Tensor, timesteps: Tensor) -> bool:
    if torch.is_grad_enabled() or len(trajectory) > MAX_BATCH or len(timesteps) < MIN_STEPS:
        return False
    if _is_changed(denoiser):
        return False
    weights, memory = 4 * sum(parameter.numel() for parameter in denoiser.parameters()), memory_bytes()
    return memory == 0 or MEMORY_SHARE * weights <= memory


def _is_changed(denoiser: nn.Module) -> bool:
    """Whether somebody wants to see its calls, or has put another function in their place."""
    forward = denoiser.__dict__.get("forward")  # ours, where training is accelerated
    ours = forward is None or (isinstance(forward, partial) and forward.func is fast_or_plain)
    return bool(denoiser._forward_hooks or denoiser._forward_pre_hooks or not ours)


def _plain(denoiser: nn.Module, inputs: dict[str, Tensor]) -> Denoise:
    return lambda trajectory, timestep: denoiser(trajectory, timestep, **inputs)


def prepare_sampling(denoiser: nn.Module, noise_scheduler: Any, **inputs: Tensor) -> Denoise:
    """The denoiser as a function (trajectory (B, T, D), timestep ()) -> prediction, its conditions bound.

    Args:
        denoiser: one of those in `PREPARATIONS`.
        noise_scheduler: its `timesteps` are read when the first step is taken.
        **inputs: what the denoiser takes beside trajectory and step.
    """

    plain = _plain(denoiser, inputs)
    looked_into = any(getattr(part, "kept_maps", None) is not None for part in denoiser.modules())
    if looked_into or denoiser.training or not computes_plainly(denoiser, *inputs.values()):
        return plain
    fast = PREPARATIONS[type(denoiser)](denoiser, noise_scheduler, **inputs)
    return lambda trajectory, timestep: (fast if _fits(trajectory) else plain)(trajectory, timestep)


def _fits(trajectory: Tensor) -> bool:
    return trajectory.dtype == torch.float32 and trajectory.device.type == "cpu"
