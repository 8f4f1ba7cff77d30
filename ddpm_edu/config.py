"""One tree of frozen dataclasses: the command line, the notebooks' API, and the file beside each checkpoint.

A configuration refuses combinations that cannot work when it is made, with the numbers in the message,
so that nobody trains for an hour before a shape error tells them.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from ddpm_edu.errors import ConfigError
from ddpm_edu.horizons import check_horizons
from ddpm_edu.tasks import ObservationMode, get_task

DenoiserName = Literal["unet", "transformer"]
ConditioningName = Literal["global", "local", "inpainting"]
SchedulerName = Literal["ddpm", "ddim", "dpm_solver++"]
PredictionType = Literal["epsilon", "sample", "v_prediction"]


@dataclass(frozen=True)
class UnetConfig:
    """Size of the convolutional denoiser (Chi et al. 2023, section III-A)."""

    down_dims: tuple[int, ...] = (256, 512, 1024)
    """Channels of each level; every level but the last halves the trajectory's length."""
    diffusion_step_embed_dim: int = 256
    """Features that tell the network which diffusion step it is at."""
    kernel_size: int = 5
    """Trajectory steps that one convolution sees; odd."""
    n_groups: int = 8
    """Groups of GroupNorm; divides every entry of `down_dims`."""
    cond_predict_scale: bool = True
    """FiLM predicts scale and bias (True) or a bias alone (False)."""
    reference_compatible: bool = False
    """Keep the reference's dead second local encoder, so that its checkpoints give the same outputs."""


@dataclass(frozen=True)
class TransformerConfig:
    """Size of the attention denoiser (Chi et al. 2023, section III-B)."""

    n_layer: int = 8
    """Decoder layers."""
    n_cond_layers: int = 0
    """Transformer layers over the condition tokens; 0 takes a two-layer perceptron instead."""
    n_head: int = 4
    """Attention heads; divides `n_emb`."""
    n_emb: int = 256
    """Features of a token."""
    p_drop_emb: float = 0.0
    """Dropout on the embeddings."""
    p_drop_attn: float = 0.3
    """Dropout in attention and in the perceptrons; much of what keeps small datasets from being memorised."""
    causal_attn: bool = True
    """An action token sees only itself and earlier ones. Without the mask, training fails more often."""
    time_as_cond: bool = True
    """The diffusion step is a condition token (True) or the first token of the input (False)."""


@dataclass(frozen=True)
class InpaintingConfig:
    """What stands under the condition mask when observations are given by inpainting."""

    fix_obs_steps: bool = True
    """Always To observations are given (True), or a random number between 1 and To in training."""
    past_action_visible: bool = False
    """The To-1 actions before now are given too."""
    train_encoder: bool = True
    """Gradients reach the encoder through the given entries. The reference's transformer cuts them: False."""


@dataclass(frozen=True)
class NoiseConfig:
    """The forward process, and how sampling walks back."""

    scheduler: SchedulerName = "ddim"
    """Sampler over a shared forward process; swapping it needs no retraining."""
    num_train_timesteps: int = 100
    """K: diffusion steps of the forward process."""
    num_inference_steps: int = 10
    """Denoising steps when sampling; K for plain DDPM."""
    beta_schedule: Literal["squaredcos_cap_v2", "linear", "scaled_linear"] = "squaredcos_cap_v2"
    """How fast noise grows; squared cosine keeps signal for longer (Nichol and Dhariwal 2021)."""
    prediction_type: PredictionType = "epsilon"
    """What the denoiser predicts."""
    clip_sample: bool = True
    """Clip the predicted clean trajectory to [-1, 1]. Right for min-max limits, wrong for z-scores."""


@dataclass(frozen=True)
class VisionConfig:
    """robomimic's image encoder."""

    crop: tuple[int, int] | None = (76, 76)
    """Height and width of the crop: random in training, centred in evaluation; None for no crop."""
    group_norm: bool = True
    """GroupNorm instead of BatchNorm, whose running statistics an average of weights leaves stale."""
    reference_crops: bool = False
    """Crop like the reference, which never draws the last offset."""


@dataclass(frozen=True)
class PolicyConfig:
    """Everything that decides a policy's architecture."""

    task: str = "can"
    """Name of the task: can or square."""
    observation: ObservationMode = "low_dim"
    """What the policy sees: the simulator's state, or two cameras and proprioception."""
    action: Literal["delta", "absolute"] = "delta"
    """The simulator's own 7 entries, or position 3 + rotation 6 + gripper 1."""
    denoiser: DenoiserName = "unet"
    """The network that predicts the noise."""
    conditioning: ConditioningName = "global"
    """How observations reach the denoiser."""
    horizon: int = 16
    """T: steps of the trajectory that is denoised."""
    n_obs_steps: int = 2
    """To: observations that the policy sees, the last one being now."""
    n_action_steps: int = 8
    """Ta: actions executed before replanning."""
    pred_action_steps_only: bool = False
    """Denoise only the Ta actions that are executed, instead of all T."""
    exclude_padding: bool = False
    """Leave the steps that pad a window's ends out of the loss. The reference keeps them."""
    unet: UnetConfig = field(default_factory=UnetConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    inpainting: InpaintingConfig = field(default_factory=InpaintingConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)

    @property
    def action_dim(self) -> int:
        """Da: 7 for delta actions, 10 for absolute ones."""
        return get_task(self.task).action_dim if self.action == "delta" else 10

    @property
    def trajectory_steps(self) -> int:
        """Steps of the trajectory that the denoiser sees: T, or Ta with `pred_action_steps_only`."""
        return self.n_action_steps if self.pred_action_steps_only else self.horizon

    def __post_init__(self) -> None:
        task = get_task(self.task)
        task.observation(self.observation)
        _one_of("action", self.action, ("delta", "absolute"))
        _one_of("denoiser", self.denoiser, typing.get_args(DenoiserName))
        _one_of("conditioning", self.conditioning, typing.get_args(ConditioningName))
        check_horizons(self.horizon, self.n_obs_steps, self.n_action_steps)
        if self.denoiser == "unet":
            stride = 2 ** (len(self.unet.down_dims) - 1)
            if self.trajectory_steps % stride:
                divisible = -(-self.trajectory_steps // stride) * stride
                name = "n_action_steps" if self.pred_action_steps_only else "horizon"
                raise ConfigError(
                    f"{name} {self.trajectory_steps} is not divisible by {stride} = "
                    f"2^({len(self.unet.down_dims)} - 1), the product of the strides; take {divisible} "
                    f"or fewer levels in unet.down_dims"
                )
        if self.denoiser == "transformer" and self.conditioning == "local":
            raise ConfigError(
                "conditioning 'local' needs the UNet: the transformer has one condition token per "
                "observation, which is its 'global'; set conditioning to 'global' or 'inpainting'"
            )
        if self.pred_action_steps_only and self.conditioning != "global":
            raise ConfigError(
                f"pred_action_steps_only needs conditioning 'global', not {self.conditioning!r}: "
                "observations that share the trajectory's time axis need the whole horizon"
            )
        noise = self.noise
        _one_of("noise.scheduler", noise.scheduler, typing.get_args(SchedulerName))
        _one_of("noise.prediction_type", noise.prediction_type, typing.get_args(PredictionType))
        if not 1 <= noise.num_inference_steps <= noise.num_train_timesteps:
            raise ConfigError(
                f"noise.num_inference_steps is {noise.num_inference_steps}; it must lie between 1 and "
                f"noise.num_train_timesteps = {noise.num_train_timesteps}"
            )


@dataclass(frozen=True)
class DataConfig:
    """Which demonstrations a policy learns from."""

    path: str | None = None
    """A robomimic HDF5 file; without one, the shipped file of the task and observation."""
    max_demonstrations: int | None = None
    """Use only the first so many demonstrations."""
    train_mask: str = "train"
    """The file's mask that names what is trained on, such as robomimic's 20_percent_train or better_train."""
    valid_mask: str = "valid"
    """The mask that names what is held out; it shares no demonstration with `train_mask`."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a policy is trained."""

    seed: int = 0
    """Decides weights, batches and noise; the same seed on the same machine gives the same policy."""
    steps: int = 6000
    """Optimiser steps."""
    batch_size: int = 128
    """B: windows per optimiser step, over all processes."""
    noise_draws: int = 1
    """Noises and diffusion steps for each window of a step; its observations are encoded once for all."""
    learning_rate: float = 6e-4
    """Peak of the cosine schedule."""
    warmup_steps: int = 500
    """Steps over which the learning rate rises linearly from 0."""
    betas: tuple[float, float] = (0.95, 0.999)
    """AdamW's averaging rates."""
    weight_decay: float = 1e-6
    """AdamW's decay of the denoiser's weights."""
    encoder_weight_decay: float = 1e-6
    """AdamW's decay of the image encoder's weights."""
    ema_power: float = 0.75
    """The weight average's memory grows as 1 - (1 + step)^-power."""
    ema_max_decay: float = 0.9999
    """Upper end of the weight average's decay."""
    gradient_accumulation_steps: int = 1
    """Forward and backward passes per optimiser step; B is split among them."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Arithmetic of the forward and backward pass."""
    log_every: int = 50
    """Steps between entries of the log."""
    validate_every: int = 1000
    """Steps between validation losses."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """Older checkpoints than the newest so many are deleted."""
    compile: Literal["no", "inductor", "eager"] = "no"
    """torch.compile the denoiser: faster steps after a minute of compiling (inductor); eager traces."""
    rollout_every: int = 0
    """Steps between rollouts in the simulator while training; 0 for none. They choose the best checkpoint."""
    rollout_episodes: int = 10
    """Episodes of each such rollout."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "noise_draws", "gradient_accumulation_steps", "log_every",
                     "validate_every", "checkpoint_every", "keep_checkpoints",
                     "rollout_episodes"):  # fmt: skip
            at_least(f"training.{name}", getattr(self, name))
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"training.seed is {self.seed}; it must be from 0 to {2**32 - 1}")
        at_least("training.rollout_every", self.rollout_every, 0)
        if self.batch_size % self.gradient_accumulation_steps:
            raise ConfigError(
                f"training.batch_size {self.batch_size} is not divisible by "
                f"training.gradient_accumulation_steps {self.gradient_accumulation_steps}"
            )
        if not self.learning_rate > 0:
            raise ConfigError(f"training.learning_rate is {self.learning_rate}; it must be above 0")


@dataclass(frozen=True)
class Config:
    """A whole run: what is trained, on what, and how."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


# ---------------------------------------------------------------------------------------------- JSON


def differences(old: dict[str, Any], new: dict[str, Any], group: str = "") -> list[tuple[str, Any, Any]]:
    """What two configurations, as of `to_dict`, differ in: (dotted name, old value, new value) of each."""
    found = []
    for name, value in new.items():
        if isinstance(value, dict):
            found += differences(old[name], value, f"{group}{name}.")
        elif value != old[name]:
            found.append((f"{group}{name}", old[name], value))
    return found


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain containers; `from_dict` is its inverse."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(kind: type, values: dict[str, Any], where: str = "") -> Any:
    """A configuration of dataclass `kind` from plain containers.

    Raises:
        ConfigError: on an unknown name, a value of the wrong type, or an impossible combination.
    """
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigError(f"unknown setting {where}{unknown[0]}; the settings there are {', '.join(hints)}")
    return kind(**{name: _convert(hints[name], value, f"{where}{name}") for name, value in values.items()})


def override(config: Any, **overrides: Any) -> Any:
    """A copy of a configuration with some settings replaced, at any depth.

    A name that only one part has is found there: `override(config, scheduler="ddpm")`. A double underscore
    or a dot steps into a part: `override(config, noise__scheduler="ddpm")`.

    Raises:
        ConfigError: if a name is unknown or stands in several parts.
    """
    values = to_dict(config)
    for name, value in overrides.items():
        path = name.replace("__", ".").split(".")
        if path[0] not in values:
            found = _paths(values, path[0])
            if len(found) > 1:
                places = ", ".join(".".join(place) for place in found)
                raise ConfigError(f"setting {name} stands in several parts: {places}; name the one you mean")
            path = [*(found[0] if found else path[:1]), *path[1:]]
        node = values
        for part in path[:-1]:
            if not isinstance(node.get(part), dict):
                raise ConfigError(f"unknown setting {name}")
            node = node[part]
        if path[-1] not in node:
            raise ConfigError(f"unknown setting {name}; the settings there are {', '.join(node)}")
        node[path[-1]] = to_dict(value) if dataclasses.is_dataclass(value) else value
    return from_dict(type(config), values)


def _paths(values: dict[str, Any], name: str, prefix: tuple[str, ...] = ()) -> list[list[str]]:
    """Every path in a tree of settings that ends in `name`."""
    found = [[*prefix, name]] if name in values else []
    for part, child in values.items():
        if isinstance(child, dict):
            found += _paths(child, name, (*prefix, part))
    return found


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"setting {where} is {value!r}; it must be a group of settings")
        return from_dict(hint, value, f"{where}.")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"setting {where} is {value!r}; it must be a list")
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        kinds = [arguments[0]] * len(value) if variadic else list(arguments)
        if len(kinds) != len(value):
            raise ConfigError(f"setting {where} has {len(value)} entries; it must have {len(kinds)}")
        return tuple(_convert(kind, entry, where) for kind, entry in zip(kinds, value, strict=True))
    if origin is Literal:
        _one_of(where, value, arguments)
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _convert(next(kind for kind in arguments if kind is not type(None)), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"setting {where} is {value!r}; it must be of type {hint.__name__}")
    return value


def _one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}")


def at_least(name: str, value: int, least: int = 1) -> None:
    """Refuses a smaller number.

    Raises:
        ConfigError: if it is smaller.
    """
    if value < least:
        raise ConfigError(f"{name} is {value}; it must be at least {least}")
