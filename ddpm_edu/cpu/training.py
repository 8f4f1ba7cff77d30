"""Switching the fast forward pass of training on and off."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_edu.cpu import small_maps, time_major, transformer_training, unet_training
from ddpm_edu.cpu.memory import keep_freed_memory
from ddpm_edu.denoisers.transformer import TransformerForDiffusion
from ddpm_edu.denoisers.unet import ConditionalUnet1D

logger = logging.getLogger(__name__)

WAYS: dict[type[nn.Module], Callable[..., Tensor]] = {
    ConditionalUnet1D: unet_training.forward,
    TransformerForDiffusion: transformer_training.forward,
    nn.Conv2d: small_maps.forward,
}
"""The faster forward passes, by the class of a denoiser or of a part of the image encoder."""


def accelerate_training(policy: nn.Module, on: bool = True) -> bool:
    """Makes training steps on a CPU faster; their numbers stay the same to float32's accuracy.

    Only the way of computing changes: parameters, their names and their gradients are those of the plain
    modules, so that optimisers and checkpoints do not notice. The fast pass is taken where a gradient is
    wanted, in float32 on the CPU; everything else (autocast, another device, evaluation, forward hooks on
    the denoiser's parts) goes through the plain modules as before. So do all of the image encoder's parts but
    convolutions over maps of a few cells.

    The process also keeps the memory that a step frees for the next one, whatever the denoiser; see
    `keep_freed_memory`.

    Args:
        policy: a policy, or a denoiser.
        on: False takes the forward pass back.

    Returns:
        Whether the denoiser now trains faster; if it cannot, the log (level INFO) says why.
    """
    denoiser = getattr(policy, "denoiser", policy)
    parts = list(small_maps.convolutions(getattr(policy, "obs_encoder", None)))
    for module in (denoiser, *parts):
        module.__dict__.pop("forward", None)
    if not on:
        return False
    keep_freed_memory()
    if not time_major.is_available():
        say_once("no faster training: this build of PyTorch is without oneDNN")
        return False
    # On the object and not in its class: other policies of the process are not concerned. A partial, unlike
    # a closure, is copied and pickled with what it binds, so that a copy computes with its own weights.
    for convolution in parts:
        convolution.forward = partial(fast_or_plain, convolution)
    if type(denoiser) not in WAYS:
        say_once(f"no faster training for {type(denoiser).__name__}: nothing is known about it")
        return False
    denoiser.forward = partial(fast_or_plain, denoiser)
    return True


def fast_or_plain(denoiser: nn.Module, sample: Tensor, *arguments: Any, **inputs: Any) -> Tensor:
    """The denoiser's forward pass with gradients the fast way, where nothing stands in between."""
    values = (sample, *arguments, *inputs.values())
    looked_into = any(getattr(part, "kept_maps", None) is not None for part in denoiser.modules())
    fast = torch.is_grad_enabled() and not looked_into and computes_plainly(denoiser, *values)
    forward = WAYS[type(denoiser)] if fast else type(denoiser).forward
    return forward(denoiser, sample, *arguments, **inputs)


def computes_plainly(module: nn.Module, *inputs: Any) -> bool:
    """Whether nothing stands in the way of computing without the modules: float32, CPU, no hooks."""
    if torch.is_autocast_enabled("cpu") or torch.jit.is_tracing() or torch.compiler.is_compiling():
        return False
    floats = [x for x in inputs if isinstance(x, Tensor) and x.is_floating_point()]
    if any(x.dtype != torch.float32 or x.device.type != "cpu" or len(x) == 0 for x in floats if x.ndim):
        return False
    if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in module.parameters()):
        return False
    hooked = (part for part in module.modules() if part is not module)
    return not any(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
        for part in hooked
    )


@cache
def say_once(message: str) -> None:
    """Into the log, the first time only: training would repeat it at every step."""
    logger.info(message)
