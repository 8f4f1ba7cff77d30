"""Parameter names of the reference implementation against ours, so that published weights can be moved over.

The reference is real-stanford/diffusion_policy, `model/diffusion/conditional_unet1d.py` and
`transformer_for_diffusion.py`. `{n}` stands for a number. Both tables are read in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from ddpm_edu.errors import CheckpointError

Names = list[tuple[str, str]]
"""(the reference's name, ours), without the last part (weight, bias)."""

# ------------------------------------------------------------------------------------------------
# UNet
# ------------------------------------------------------------------------------------------------

_RESIDUAL_BLOCK: Names = [
    ("blocks.0.block.0", "block_in.convolution"),
    ("blocks.0.block.1", "block_in.norm"),
    ("cond_encoder.1", "film.projection"),
    ("blocks.1.block.0", "block_out.convolution"),
    ("blocks.1.block.1", "block_out.norm"),
    ("residual_conv", "residual"),
]
_RESIDUAL_BLOCK_PLACES: Names = [
    ("local_cond_encoder.0", "local_encoder_down"),
    ("local_cond_encoder.1", "local_encoder_up"),
    ("down_modules.{n}.0", "down_levels.{n}.first"),
    ("down_modules.{n}.1", "down_levels.{n}.second"),
    ("mid_modules.{n}", "middle.{n}"),
    ("up_modules.{n}.0", "up_levels.{n}.first"),
    ("up_modules.{n}.1", "up_levels.{n}.second"),
]


def _join(places: Names, parts: Names) -> Names:
    return [
        (f"{place}.{part}", f"{our_place}.{our_part}")
        for place, our_place in places
        for part, our_part in parts
    ]


UNET_NAMES: Names = [
    ("diffusion_step_encoder.1", "step_encoder.expand"),
    ("diffusion_step_encoder.3", "step_encoder.contract"),
    *_join(_RESIDUAL_BLOCK_PLACES, _RESIDUAL_BLOCK),
    ("down_modules.{n}.2.conv", "down_levels.{n}.resample.convolution"),
    ("up_modules.{n}.2.conv", "up_levels.{n}.resample.convolution"),
    ("final_conv.0.block.0", "final_block.convolution"),
    ("final_conv.0.block.1", "final_block.norm"),
    ("final_conv.1", "final_projection"),
]


def unet_state_from_reference(
    state: Mapping[str, Tensor], denoiser: nn.Module | None = None
) -> dict[str, Tensor]:
    """Renames the reference's UNet weights to those of `ConditionalUnet1D`.

    Args:
        state: name to tensor, as in the reference's `ConditionalUnet1D.state_dict()`.
        denoiser: where the result is to be loaded; given, names and shapes are compared with it.

    Returns:
        name to tensor (the same tensors) for `load_state_dict`.

    Raises:
        CheckpointError: naming the first unknown key, or key that is missing or of another shape than the
            denoiser's.
    """
    renamed = {_rename(key, UNET_NAMES): value for key, value in state.items()}
    return _fitting(renamed, denoiser)


def unet_state_to_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `unet_state_from_reference`.

    Raises:
        CheckpointError: naming the first unknown key.
    """
    names = [(ours, reference) for reference, ours in UNET_NAMES]
    return {_rename(key, names): value for key, value in state.items()}


# ------------------------------------------------------------------------------------------------
# looking names up
# ------------------------------------------------------------------------------------------------


def _rename(key: str, names: Iterable[tuple[str, str]]) -> str:
    stem, _, parameter = key.rpartition(".")
    for source, target in names:
        match = re.fullmatch(re.escape(source).replace(r"\{n\}", r"(\d+)"), stem)
        if match and parameter in ("weight", "bias"):
            number = match.group(1) if match.groups() else ""
            return f"{target.replace('{n}', number)}.{parameter}"
    raise CheckpointError(
        f"unknown key {key!r} in the checkpoint; it is no parameter of this kind of network"
    )


def _fitting(state: dict[str, Tensor], denoiser: nn.Module | None) -> dict[str, Tensor]:
    if denoiser is None:
        return state
    wanted = denoiser.state_dict()
    for key, value in state.items():
        if key not in wanted:
            raise CheckpointError(
                f"the checkpoint holds {key!r} (our name), which this denoiser has not; "
                "its configuration has other parts or fewer levels"
            )
        if value.shape != wanted[key].shape:
            raise CheckpointError(
                f"{key!r} (our name) has shape {tuple(value.shape)} in the checkpoint and "
                f"{tuple(wanted[key].shape)} in this denoiser; their configurations differ"
            )
    for key in wanted:
        if key not in state:
            raise CheckpointError(f"the checkpoint lacks {key!r} (our name), which this denoiser needs")
    return state
