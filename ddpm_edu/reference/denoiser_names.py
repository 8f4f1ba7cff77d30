"""Parameter names of the reference implementation against ours, so that published weights can be moved over.

The reference is real-stanford/diffusion_policy, `model/diffusion/conditional_unet1d.py` and
`transformer_for_diffusion.py`. `{n}` stands for a number. Both tables are read in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
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
# transformer
# ------------------------------------------------------------------------------------------------

_ENCODER_LAYER: Names = [
    ("self_attn.out_proj", "self_attention.output"),
    ("linear1", "feed_forward.expand"),
    ("linear2", "feed_forward.contract"),
    ("norm1", "norm_self"),
    ("norm2", "norm_feed_forward"),
]
_DECODER_LAYER: Names = [
    ("self_attn.out_proj", "self_attention.output"),
    ("multihead_attn.out_proj", "cross_attention.output"),
    ("linear1", "feed_forward.expand"),
    ("linear2", "feed_forward.contract"),
    ("norm1", "norm_self"),
    ("norm2", "norm_cross"),
    ("norm3", "norm_feed_forward"),
]
_EMBEDDINGS_AND_HEAD: Names = [
    ("input_emb", "input_embedding"),
    ("cond_obs_emb", "obs_embedding"),
    ("ln_f", "final_norm"),
    ("head", "head"),
]
TRANSFORMER_NAMES: Names = [
    *_EMBEDDINGS_AND_HEAD,
    ("encoder.0", "cond_encoder.expand"),
    ("encoder.2", "cond_encoder.contract"),
    *_join([("encoder.layers.{n}", "cond_encoder.{n}")], _ENCODER_LAYER),
    *_join([("decoder.layers.{n}", "layers.{n}")], _DECODER_LAYER),
]
ENCODER_ONLY_NAMES: Names = [
    *_EMBEDDINGS_AND_HEAD,
    *_join([("encoder.layers.{n}", "layers.{n}")], _ENCODER_LAYER),
]
_POSITIONS = {"pos_emb": "input_position", "cond_pos_emb": "cond_position"}
_MASKS = {"mask": "causal_mask", "memory_mask": "memory_mask"}
DUMMY = "_dummy_variable"
"""An empty parameter by which the reference's modules know their device."""


def transformer_state_from_reference(
    state: Mapping[str, Tensor], denoiser: nn.Module | None = None
) -> dict[str, Tensor]:
    """Renames the reference's transformer weights to those of `TransformerForDiffusion`.

    Its attentions keep query, key and value in one tensor, ours in three; its masks are added (0 or -inf),
    ours are bool.

    Args:
        state: name to tensor, as in the reference's `TransformerForDiffusion.state_dict()`.
        denoiser: where the result is to be loaded; given, names and shapes are compared with it.

    Returns:
        name to tensor for `load_state_dict`.

    Raises:
        CheckpointError: naming the first unknown key, or key that is missing or of another shape than the
            denoiser's.
    """
    names = TRANSFORMER_NAMES if any(key.startswith("decoder.") for key in state) else ENCODER_ONLY_NAMES
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        packed = re.fullmatch(r"(.+)\.(self_attn|multihead_attn)\.in_proj_(weight|bias)", key)
        if key == DUMMY:
            continue
        if key in _POSITIONS:
            renamed[_POSITIONS[key]] = value
        elif key in _MASKS:
            renamed[_MASKS[key]] = value == 0
        elif packed:
            place, attention, parameter = packed.groups()
            if len(value) % 3:
                raise CheckpointError(
                    f"{key!r} has shape {tuple(value.shape)}; its length must be three times E"
                )
            # The place of an attention is found through its output's name, which is in the table.
            output = _rename(f"{place}.{attention}.out_proj.{parameter}", names)
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[output.replace(".output.", f".{part}.")] = third
        else:
            renamed[_rename(key, names)] = value
    return _fitting(renamed, denoiser)


def transformer_state_to_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `transformer_state_from_reference`.

    Raises:
        CheckpointError: naming the first unknown key.
    """
    is_decoder = any(".cross_attention." in key for key in state)
    names = [(ours, theirs) for theirs, ours in (TRANSFORMER_NAMES if is_decoder else ENCODER_ONLY_NAMES)]
    special = {ours: theirs for theirs, ours in {**_POSITIONS, **_MASKS}.items()}
    renamed: dict[str, Tensor] = {DUMMY: torch.empty(0)}
    for key, value in state.items():
        part = re.search(r"_attention\.(query|key|value)\.", key)
        if key in special:
            renamed[special[key]] = _added_mask(value) if value.dtype == torch.bool else value
        elif part is None:
            renamed[_rename(key, names)] = value
        elif part.group(1) == "query":
            thirds = [state[key.replace(".query.", f".{name}.")] for name in ("query", "key", "value")]
            output = _rename(key.replace(".query.", ".output."), names)
            renamed[re.sub(r"out_proj\.(weight|bias)", r"in_proj_\1", output)] = torch.cat(thirds)
    return renamed


def _added_mask(allowed: Tensor) -> Tensor:
    """True, looking is allowed, becomes 0; False becomes -inf."""
    return torch.zeros(allowed.shape).masked_fill(~allowed, float("-inf"))


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
