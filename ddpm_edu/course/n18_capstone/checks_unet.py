"""Check of notebook 18: one pass through the UNet, by its own parts."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function
from ddpm_edu.denoisers.unet import ConditionalUnet1D

_DA, _SEEN, _STEP = 3, 5, 8


@cache
def _unet(levels: int) -> ConditionalUnet1D:
    """A tiny UNet with weights of its own; the notebook's random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(levels)
        unet = ConditionalUnet1D(
            input_dim=_DA,
            global_cond_dim=_SEEN,
            down_dims=(8, 12, 16)[:levels],
            diffusion_step_embed_dim=_STEP,
            kernel_size=3,
            n_groups=4,
        )
    return unet.requires_grad_(False)


def unet_forward(function: Function) -> None:
    """Checks `function(unet, noisy, k, seen) -> prediction (B, T, Da)`.

    Axes: noisy (B, T, Da), k (B,) and seen (B, Do).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (levels, B, T) in enumerate(((3, 2, 16), (2, 3, 8))):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "unet": _unet(levels),
                "noisy": torch.randn(B, T, _DA, generator=generator),
                "k": torch.randint(0, 100, (B,), generator=generator),
                "seen": torch.randn(B, _SEEN, generator=generator),
            }
        )
    check_function(
        "unet_forward",
        function,
        _forward,
        UNET_MISTAKES,
        cases,
        "Down, across and up again, with every skip in its place.",
    )


def _forward(
    unet: ConditionalUnet1D,
    noisy: Tensor,
    k: Tensor,
    seen: Tensor,
    step: bool = True,
    seen_first: bool = False,
    skip_first: bool = False,
    middle: int = 2,
    second: bool = True,
    final_block: bool = True,
    time_last: bool = False,
) -> Tensor:
    """The right pass; each option is a mistake."""
    parts = [unet.step_encoder(k if step else torch.zeros_like(k)), seen]
    cond = torch.cat(parts[::-1] if seen_first else parts, dim=1)
    x, skips = noisy.transpose(1, 2), []
    for down in unet.down_levels:
        x = down.first(x, cond)
        x = down.second(x, cond) if second else x
        skips.append(x)
        x = down.resample(x)
    for block in unet.middle[:middle]:
        x = block(x, cond)
    for up in unet.up_levels:
        skip = skips.pop()
        x = torch.cat([skip, x] if skip_first else [x, skip], dim=1)
        x = up.first(x, cond)
        x = up.second(x, cond) if second else x
        x = up.resample(x)
    x = unet.final_projection(unet.final_block(x) if final_block else x)
    return x if time_last else x.transpose(1, 2)


UNET_MISTAKES = (
    Mistake(
        "forgets the diffusion step",
        lambda unet, x, k, s: _forward(unet, x, k, s, step=False),
        "unet.step_encoder(k) is (B, 128): without it a network cannot know how much noise to look for.",
    ),
    Mistake(
        "puts what is seen before the diffusion step",
        lambda unet, x, k, s: _forward(unet, x, k, s, seen_first=True),
        "The weights expect the step's features first: torch.cat([step, seen], dim=1).",
    ),
    Mistake(
        "lays the skip before x",
        lambda unet, x, k, s: _forward(unet, x, k, s, skip_first=True),
        "Both have the same shape, so nothing breaks; but the weights expect x first, then the skip.",
    ),
    Mistake(
        "leaves out the middle",
        lambda unet, x, k, s: _forward(unet, x, k, s, middle=0),
        "Between down and up, two blocks look at the whole motion at its coarsest.",
    ),
    Mistake(
        "asks only the first block of the middle",
        lambda unet, x, k, s: _forward(unet, x, k, s, middle=1),
        "unet.middle has two blocks: loop over it.",
    ),
    Mistake(
        "leaves out the second block of each level",
        lambda unet, x, k, s: _forward(unet, x, k, s, second=False),
        "Each level has a first and a second block; the skip is kept after the second.",
    ),
    Mistake(
        "leaves out the final block",
        lambda unet, x, k, s: _forward(unet, x, k, s, final_block=False),
        "A convolution with its norm stands before the projection: unet.final_block(x) comes first.",
    ),
    Mistake(
        "returns channels before time",
        lambda unet, x, k, s: _forward(unet, x, k, s, time_last=True),
        "Convolutions want (B, C, T); a trajectory is (B, T, Da). Swap back at the end: transpose(1, 2).",
    ),
)
