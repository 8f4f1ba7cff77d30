"""Checks of notebook 09: the sampling loop that keeps what is given, and the input of training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function
from ddpm_edu.diffusion.schedule import make_noise_schedule

# ------------------------------------------------------------------------------------------------
# the loop
# ------------------------------------------------------------------------------------------------

_TIMESTEPS = torch.tensor([90, 60, 35, 10])  # of K = 100


def _denoise_step(trajectory: Tensor, k: Tensor | int) -> Tensor:
    """No denoiser, but like one in what matters: every entry depends on all others, and on k."""
    share = 0.3 + 0.005 * float(k)
    around = trajectory.mean(dim=(1, 2), keepdim=True) + trajectory.roll(1, dims=1)  # (B, T, D)
    return share * trajectory + (1 - share) * around + 0.002 * float(k)  # (B, T, D)


def inpaint(function: Function) -> None:
    """Checks `function(denoise_step, timesteps, condition_data, condition_mask, noise) -> (B, T, D)`.

    Axes: condition_data (B, T, D), condition_mask (B, T, D) and noise (B, T, D).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, T, D, timesteps) in enumerate(((3, 5, 4, _TIMESTEPS), (2, 4, 4, _TIMESTEPS[1:]))):
        generator = torch.Generator().manual_seed(seed)
        data, noise = torch.randn(2, B, T, D, generator=generator)
        mask = torch.rand(B, T, D, generator=generator) < 0.4
        # Zero where nothing is given, as in the policies: it must not be read there.
        cases.append(
            {
                "denoise_step": _denoise_step,
                "timesteps": timesteps,
                "condition_data": data * mask,
                "condition_mask": mask,
                "noise": noise,
            }
        )
    check_function(
        "inpaint",
        function,
        _inpaint,
        INPAINT_MISTAKES,
        cases,
        "Given entries are given at every step, and come out as they went in.",
    )


def _inpaint(
    denoise_step: Function, timesteps: Tensor, condition_data: Tensor, condition_mask: Tensor, noise: Tensor
) -> Tensor:
    trajectory = noise
    for k in timesteps:
        trajectory = torch.where(condition_mask, condition_data, trajectory)  # (B, T, D)
        trajectory = denoise_step(trajectory, k)  # (B, T, D)
    return torch.where(condition_mask, condition_data, trajectory)  # (B, T, D)


Clamp = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""(trajectory, condition_data, condition_mask, noise, k) -> trajectory."""


def _clamp(x: Tensor, data: Tensor, mask: Tensor, noise: Tensor, k: int) -> Tensor:
    return torch.where(mask, data, x)


def _noised(x: Tensor, data: Tensor, mask: Tensor, noise: Tensor, k: int) -> Tensor:
    share = make_noise_schedule(100).alpha_bar[k]
    return torch.where(mask, share.sqrt() * data + (1 - share).sqrt() * noise, x)


class _Loop:
    """The loop, right by default; each part can be put wrong."""

    def __init__(
        self,
        before: Clamp | None = _clamp,
        once: Clamp | None = None,
        after: Clamp | None = None,
        last: Clamp | None = _clamp,
        from_data: bool = False,
        order: int = 1,
        stop: int | None = None,
    ) -> None:
        self.before, self.once, self.after, self.last = before, once, after, last
        self.from_data, self.order, self.stop = from_data, order, stop

    def __call__(
        self, step: Function, timesteps: Tensor, data: Tensor, mask: Tensor, noise: Tensor
    ) -> Tensor:
        def apply(clamp: Clamp | None, x: Tensor, k: int) -> Tensor:
            return x if clamp is None else clamp(x, data, mask, noise, k)

        x = apply(self.once, data if self.from_data else noise, 0)
        for k in timesteps.tolist()[:: self.order][: self.stop]:
            x = apply(self.before, x, k)
            x = apply(self.after, step(x, k), k)
        return apply(self.last, x, 0)


_EACH = "Each denoising step changes every entry, so what is given must be written again before the next."
_END = "The last step has changed the given entries once more. Write them a last time after the loop."

INPAINT_MISTAKES = (
    Mistake("never writes what is given", _Loop(before=None, last=None), _EACH),
    Mistake(
        "has the mask inverted: it keeps the given entries noisy, and overwrites the rest",
        _Loop(
            lambda x, data, mask, noise, k: torch.where(mask, x, data),
            last=lambda x, data, mask, noise, k: torch.where(mask, x, data),
        ),
        "True means given: torch.where(condition_mask, condition_data, trajectory).",
    ),
    Mistake(
        "writes what is given only once, before the loop",
        _Loop(before=None, once=_clamp, last=None),
        f"{_EACH} {_END}",
    ),
    Mistake(
        "writes what is given before the loop and at the end, but not in between",
        _Loop(before=None, once=_clamp),
        _EACH,
    ),
    Mistake(
        "writes what is given only at the end",
        _Loop(before=None),
        "Then the result looks right where it is given, but the rest was made without knowing it. " + _EACH,
    ),
    Mistake("forgets to write what is given after the last step", _Loop(last=None), _END),
    Mistake(
        "writes after each step, but not before the first",
        _Loop(before=None, after=_clamp),
        "The first step then sees pure noise. The order is: write, denoise, write, denoise, ..., write.",
    ),
    Mistake(
        "writes noised data: sqrt(alpha_bar) * data + sqrt(1 - alpha_bar) * noise",
        _Loop(before=_noised),
        "That is for networks that never saw given entries (RePaint). Ours was trained with clean ones.",
    ),
    Mistake(
        "writes noised data, and forgets to write after the last step",
        _Loop(before=_noised, last=None),
        f"Ours was trained with clean entries given, not noised ones. {_END}",
    ),
    Mistake(
        "begins at the condition data instead of at the noise",
        _Loop(from_data=True),
        "Where nothing is given the data is zero; the first step expects noise there.",
    ),
    Mistake(
        "adds what is given to the trajectory",
        _Loop(
            lambda x, data, mask, noise, k: x + data * mask,
            last=lambda x, data, mask, noise, k: x + data * mask,
        ),
        "Given entries are replaced, not added to.",
    ),
    Mistake(
        "sets the given entries to zero",
        _Loop(lambda x, data, mask, noise, k: x * ~mask, last=lambda x, data, mask, noise, k: x * ~mask),
        "Multiplying by ~mask makes room; the data is still to be written there. torch.where does both.",
    ),
    Mistake(
        "replaces everything by the condition data",
        _Loop(lambda x, data, mask, noise, k: data, last=lambda x, data, mask, noise, k: data),
        "Where nothing is given the trajectory stays: index with the mask, or use torch.where.",
    ),
    Mistake(
        "walks through the steps in the wrong order",
        _Loop(order=-1),
        "Denoising goes from much noise to little: take `timesteps` as they come.",
    ),
    Mistake("leaves out the last denoising step", _Loop(stop=-1), "Loop over all of `timesteps`."),
    Mistake("does only the first step", _Loop(stop=1), "Is `return` indented into the loop?"),
)


# ------------------------------------------------------------------------------------------------
# training
# ------------------------------------------------------------------------------------------------


def training_input(function: Function) -> None:
    """Checks `function(clean, noise, alpha_bar_k (B,), condition_mask) -> (B, T, D)`, what the network sees.

    Axes: clean (B, T, D), noise (B, T, D) and condition_mask (B, T, D).

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for seed, (B, T, D) in enumerate(((3, 5, 4), (4, 4, 4))):
        generator = torch.Generator().manual_seed(seed)
        clean, noise = torch.randn(2, B, T, D, generator=generator)
        mask = torch.rand(B, T, D, generator=generator) < 0.4
        share = torch.tensor([0.9, 0.5, 0.1, 0.3])[:B]
        cases.append({"clean": clean, "noise": noise, "alpha_bar_k": share, "condition_mask": mask})
    check_function(
        "training_input",
        function,
        _training_input,
        TRAINING_INPUT_MISTAKES,
        cases,
        "The network trains on what it will see: given entries clean, the rest noisy.",
    )


def _training_input(clean: Tensor, noise: Tensor, alpha_bar_k: Tensor, condition_mask: Tensor) -> Tensor:
    share = alpha_bar_k.reshape(-1, 1, 1)  # (B, 1, 1)
    noisy = share.sqrt() * clean + (1 - share).sqrt() * noise  # (B, T, D)
    return torch.where(condition_mask, clean, noisy)  # (B, T, D)


def _noisy(clean: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    share = share[:, None, None]  # (B, 1, 1)
    return share.sqrt() * clean + (1 - share).sqrt() * noise  # (B, T, D)


_CLEAN_GIVEN = "In sampling the given entries are written in without noise; training must look the same."

TRAINING_INPUT_MISTAKES = (
    Mistake(
        "noises the given entries too",
        lambda clean, noise, share, mask: _noisy(clean, noise, share),
        _CLEAN_GIVEN + " Write them in after the noise is added.",
    ),
    Mistake(
        "has the mask inverted: what is to be filled in stands there clean",
        lambda clean, noise, share, mask: torch.where(mask, _noisy(clean, noise, share), clean),
        "True means given. Yours shows the network the answer.",
    ),
    Mistake(
        "returns the clean trajectory",
        lambda clean, noise, share, mask: clean,
        "Nothing is left to denoise. Noise it first, then write the given entries in.",
    ),
    Mistake(
        "sets the given entries to zero",
        lambda clean, noise, share, mask: _noisy(clean, noise, share) * ~mask,
        "They are known: write the clean values there.",
    ),
    Mistake(
        "leaves pure noise in the given entries",
        lambda clean, noise, share, mask: torch.where(mask, noise, _noisy(clean, noise, share)),
        _CLEAN_GIVEN,
    ),
    Mistake(
        "writes the shrunk clean values, sqrt(alpha_bar) * clean",
        lambda clean, noise, share, mask: torch.where(
            mask, share.sqrt()[:, None, None] * clean, _noisy(clean, noise, share)
        ),
        _CLEAN_GIVEN + " At full size, too.",
    ),
    Mistake(
        "takes no square roots",
        lambda clean, noise, share, mask: torch.where(
            mask, clean, share[:, None, None] * clean + (1 - share)[:, None, None] * noise
        ),
        "alpha_bar is a share of variance: sqrt(alpha_bar) and sqrt(1 - alpha_bar), as in notebook 04.",
    ),
    Mistake(
        "takes the first sample's noise level for the whole batch",
        lambda clean, noise, share, mask: torch.where(
            mask, clean, _noisy(clean, noise, share[:1].expand(len(share)))
        ),
        "Each sample has its own k: alpha_bar_k.reshape(-1, 1, 1).",
    ),
    Mistake(
        "broadcasts alpha_bar_k (B,) along the last axis",
        lambda clean, noise, share, mask: torch.where(
            mask, clean, share.sqrt() * clean + (1 - share).sqrt() * noise
        ),
        "Broadcasting aligns the last axes: give it the shape (B, 1, 1).",
    ),
)
