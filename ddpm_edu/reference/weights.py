"""The reference's weights in the shape of ours.

Names change (`denoiser_names`, `encoder_names`), normalisers change their form,
and where the reference concatenates the observation's keys in another order than ours, the denoiser's weights
are put in our order. Every tensor is accounted for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ddpm_edu.conditioning import make_conditioning
from ddpm_edu.config import PolicyConfig
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.denoisers import UnetConfig
from ddpm_edu.errors import CheckpointError, ConfigError
from ddpm_edu.factory import build_denoiser
from ddpm_edu.observation import ObservationEncoder, make_obs_encoder
from ddpm_edu.reference.denoiser_names import (
    DUMMY,
    transformer_state_from_reference,
    unet_state_from_reference,
)
from ddpm_edu.reference.encoder_names import encoder_state_from_reference

State = dict[str, Tensor]

_DENOISER, _ENCODER, _NORMALIZER = "model.", "obs_encoder.", "normalizer.params_dict."
_STATISTICS = ("min", "max", "mean", "std")
_MOST_LEVELS, _MOST_LAYERS, _MOST_STEPS, _MOST_FEATURES = 16, 256, 4096, 2**16
"""What no real denoiser exceeds; a file that claims more must not fill the memory before it is refused."""


def policy_state(state: State, config: PolicyConfig, observation_order: Sequence[str]) -> State:
    """The state of our policy from that of the reference's.

    Args:
        state: the reference policy's state: name to tensor.
        config: the same policy in our words.
        observation_order: the order in which the reference concatenates the observation's keys.

    Returns:
        A state that fits `build_policy(config)` exactly.

    Raises:
        CheckpointError: naming the first tensor that is unknown, missing, or of another shape.
    """
    groups: dict[str, State] = {_DENOISER: {}, _ENCODER: {}, _NORMALIZER: {}}
    for name, value in state.items():
        if name.rpartition(".")[2] == DUMMY and value.numel() == 0:
            continue
        prefix = next((prefix for prefix in groups if name.startswith(prefix)), None)
        if prefix is None or (prefix == _ENCODER and config.observation == "low_dim"):
            raise CheckpointError(
                f"its weights have a tensor {name!r} of shape {tuple(value.shape)}, which no such policy has"
            )
        groups[prefix][name.removeprefix(prefix)] = value

    encoder = make_obs_encoder(
        config.task, config.observation, group_norm=config.vision.group_norm, crop=config.vision.crop
    )
    denoiser = _denoiser_state(groups[_DENOISER], config, encoder, observation_order)
    ours = {f"denoiser.{name}": value for name, value in denoiser.items()}
    if config.observation == "image":
        names = encoder_state_from_reference(groups[_ENCODER], prefix="")
        _require_same(names, encoder.state_dict(), "obs_encoder")
        ours |= {f"obs_encoder.{name}": value for name, value in names.items()}
    normalizer = _normalizer_state(groups[_NORMALIZER], config, observation_order)
    ours |= {f"normalizer.{name}": value for name, value in normalizer.items()}
    for name, value in ours.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"its weights have values that are not finite, in what is {name!r} here")
    return ours


# ---- denoiser ------------------------------------------------------------------------------------------


def _denoiser_state(
    state: State, config: PolicyConfig, encoder: ObservationEncoder, order: Sequence[str]
) -> State:
    _check_sizes(config)
    conditioning = make_conditioning(config, encoder.obs_feature_dim)
    try:
        with torch.device("meta"):  # without numbers: only names and shapes are compared
            denoiser = build_denoiser(config.denoiser, conditioning.denoiser_spec())
    except (ConfigError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"its denoiser cannot be built: {reason}") from None
    state = _in_our_order(state, config, _feature_permutation(encoder, order))
    if config.denoiser.name == "unet":
        return unet_state_from_reference(state, denoiser)
    if config.pred_action_steps_only and "pos_emb" in state:
        # The reference makes positions for all T steps and uses the first Ta.
        state["pos_emb"] = state["pos_emb"][:, : config.trajectory_steps]  # (1, Ta, n_emb)
    return transformer_state_from_reference(state, denoiser)


def _check_sizes(config: PolicyConfig) -> None:
    sizes = config.denoiser
    if isinstance(sizes, UnetConfig):
        depth = ("levels", len(sizes.down_dims), _MOST_LEVELS)
        width = max(*sizes.down_dims, sizes.diffusion_step_embed_dim)
    else:
        depth, width = ("layers", max(sizes.n_layer, sizes.n_cond_layers), _MOST_LAYERS), sizes.n_emb
    steps = max(config.horizon, config.n_obs_steps)
    for name, value, most in (depth, ("steps", steps, _MOST_STEPS), ("features", width, _MOST_FEATURES)):
        if value > most:
            raise CheckpointError(f"its denoiser has {value} {name}; no real one has more than {most}")


def _feature_permutation(encoder: ObservationEncoder, order: Sequence[str]) -> Tensor:
    """Where each of our observation features stands among the reference's (Do,)."""
    cameras = sum(key.type == "rgb" for key in encoder.keys)
    readings = sum(key.shape[0] for key in encoder.keys if key.type == "low_dim")
    per_camera = (encoder.obs_feature_dim - readings) // max(cameras, 1)
    lengths = {key.name: per_camera if key.type == "rgb" else key.shape[0] for key in encoder.keys}
    places, start = {}, 0
    for name in order:
        places[name] = torch.arange(start, start + lengths[name])
        start += lengths[name]
    return torch.cat([places[key.name] for key in encoder.keys])  # (Do,)


def _in_our_order(state: State, config: PolicyConfig, permutation: Tensor) -> State:
    """The denoiser's weights (the reference's names) for features in our order instead of the reference's."""
    Do, Da = len(permutation), config.action_dim
    if torch.equal(permutation, torch.arange(Do)):
        return dict(state)

    def blocks(first: int, count: int) -> Tensor:
        """`first` entries that stay, then `count` times the features."""
        parts = [torch.arange(first)] + [first + block * Do + permutation for block in range(count)]
        return torch.cat(parts)

    if config.conditioning == "inpainting":
        axes = {name: (axis, blocks(Da, 1)) for name, axis in _TRAJECTORY_AXES[config.denoiser.name].items()}
    elif config.conditioning == "local":
        axes = {name: (1, blocks(0, 1)) for name in _LOCAL}
    elif config.denoiser.name == "transformer":
        axes = {"cond_obs_emb.weight": (1, blocks(0, 1))}
    else:
        film = blocks(config.denoiser.diffusion_step_embed_dim, config.n_obs_steps)
        axes = {name: (1, film) for name in state if name.endswith(".cond_encoder.1.weight")}
    moved = dict(state)
    for name, (axis, index) in axes.items():
        if name in state:
            if state[name].ndim <= axis or state[name].shape[axis] != len(index):
                raise CheckpointError(
                    f"{_DENOISER + name!r} has shape {tuple(state[name].shape)}; its axis {axis} must have "
                    f"{len(index)} entries"
                )
            moved[name] = state[name].index_select(axis, index)
    return moved


_LOCAL = tuple(
    f"local_cond_encoder.{encoder}.{part}.weight"
    for encoder in (0, 1)
    for part in ("blocks.0.block.0", "residual_conv")
)
_TRAJECTORY_AXES = {
    "unet": {
        "down_modules.0.0.blocks.0.block.0.weight": 1,
        "down_modules.0.0.residual_conv.weight": 1,
        "final_conv.1.weight": 0,
        "final_conv.1.bias": 0,
    },
    "transformer": {"input_emb.weight": 1, "head.weight": 0, "head.bias": 0},
}
"""Where a trajectory of (action, observation features) enters and leaves the network."""


# ---- normaliser ----------------------------------------------------------------------------------------


def _normalizer_state(state: State, config: PolicyConfig, order: Sequence[str]) -> State:
    """(value * scale + offset) of the reference as our (value - center) / scale.

    The low-dim policies have one normaliser for all observations, which is cut into ours.
    """
    normalizer = Normalizer.from_spec(config.task, config.observation, config.action)
    lengths = {name: len(field.modes) for name, field in normalizer.fields.items()}
    whole = {"obs": sum(lengths[name] for name in order)} if config.observation == "low_dim" else {}
    fields = {**whole, "action": lengths["action"]} if whole else lengths
    known = {f"{name}.{part}" for name in fields for part in ("scale", "offset")}
    ignored = {f"{name}.input_stats.{part}" for name in fields for part in _STATISTICS}
    for name, value in state.items():
        if name not in known | ignored:
            raise CheckpointError(
                f"its normaliser has a tensor {name!r} of shape {tuple(value.shape)}; this policy's "
                f"normalises {', '.join(map(repr, fields))}"
            )
    linear = {name: _linear(state, name, length) for name, length in fields.items()}
    if whole:
        scale, offset = linear.pop("obs")
        sizes = [lengths[name] for name in order]
        pairs = zip(order, scale.split(sizes), offset.split(sizes), strict=True)
        linear |= {name: (part, rest) for name, part, rest in pairs}
    ours = {}
    for name, field in normalizer.fields.items():
        scale, offset = linear[name]
        # Ours takes images from 0 to 255; the reference's are divided by 255 before.
        unit = 255.0 if field.is_image else 1.0
        center, width = -offset / scale * unit, unit / scale
        shape = field.center.shape
        ours[f"fields.{name}.center"] = center.to(torch.float32).reshape(shape)
        ours[f"fields.{name}.scale"] = width.to(torch.float32).reshape(shape)
    _require_same(ours, normalizer.state_dict(), "normalizer")
    return ours


def _linear(state: State, name: str, length: int) -> tuple[Tensor, Tensor]:
    """Scale and offset of a key, both (length,), in double precision."""
    found = []
    for part in ("scale", "offset"):
        value = state.get(f"{name}.{part}")
        if value is None:
            raise CheckpointError(
                f"its weights lack {_NORMALIZER + name + '.' + part!r}: it was never fitted"
            )
        if tuple(value.shape) not in ((1,), (length,)):
            raise CheckpointError(
                f"{_NORMALIZER + name + '.' + part!r} has shape {tuple(value.shape)}; it must be ({length},)"
            )
        found.append(value.to(torch.float64).expand(length))
    if not bool(torch.isfinite(torch.stack(found)).all()) or not bool((found[0] > 0).all()):
        raise CheckpointError(f"{_NORMALIZER + name!r} has a scale that is not above 0, or is not finite")
    return found[0], found[1]


def _require_same(found: State, wanted: State, part: str) -> None:
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            raise CheckpointError(f"its weights lack {part + '.' + name!r}")
        if name not in wanted:
            raise CheckpointError(
                f"its weights have a tensor {part + '.' + name!r} of shape {tuple(found[name].shape)}, which "
                "this policy has no place for"
            )
        if found[name].shape != wanted[name].shape:
            raise CheckpointError(
                f"{part + '.' + name!r} has shape {tuple(found[name].shape)}; this policy wants "
                f"{tuple(wanted[name].shape)}"
            )
