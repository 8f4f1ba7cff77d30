"""One tree of frozen dataclasses: the command line, the notebooks' API, and the file beside each checkpoint.

What all groups of settings have in common is in `ddpm_edu.settings`. The settings of a denoiser stand beside
its network, those of a process beside its equations; here they hang in the tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ddpm_edu.denoisers import DENOISERS, DenoiserConfig
from ddpm_edu.diffusion.processes import PROCESSES, ProcessConfig
from ddpm_edu.errors import ConfigError
from ddpm_edu.horizons import check_horizons
from ddpm_edu.observation.backbones import BACKBONES
from ddpm_edu.settings import Group, choice, named, number
from ddpm_edu.tasks import TASKS, ObservationMode, get_task

ConditioningName = Literal["global", "local", "inpainting"]


@dataclass(frozen=True)
class InpaintingConfig(Group):
    """What stands under the condition mask when observations are given by inpainting."""

    fix_obs_steps: bool = True
    """Always To observations are given (True), or a random number between 1 and To in training."""
    past_action_visible: bool = False
    """The To-1 actions before now are given too."""
    train_encoder: bool = True
    """Gradients reach the encoder through the given entries. The reference's transformer cuts them: False."""
    after_now: Literal["denoised", "repeated", "zero"] = "denoised"
    """The observations after now: denoised too, or given as the present one repeated, or given as zeros."""


@dataclass(frozen=True)
class VisionConfig(Group):
    """robomimic's image encoder."""

    backbone: str = named(BACKBONES, "resnet18")
    """The convolutions of each camera's network."""
    tells: Literal["features", "object"] = "features"
    """What the encoder hands on: free features, or the object's pose as a state policy reads it."""
    crop: tuple[int, int] | None = (76, 76)
    """Height and width of the crop: random in training, centred in evaluation; None for no crop."""
    group_norm: bool = True
    """GroupNorm instead of BatchNorm, whose running statistics an average of weights leaves stale."""
    reference_crops: bool = False
    """Crop like the reference, which never draws the last offset."""


@dataclass(frozen=True)
class PolicyConfig(Group):
    """Everything that decides a policy's architecture and how it acts."""

    task: str = named(TASKS, "can")
    """Name of the task."""
    observation: ObservationMode = "low_dim"
    """What the policy sees: the simulator's state, or two cameras and proprioception."""
    action: Literal["delta", "absolute"] = "delta"
    """The simulator's own 7 entries, or position 3 + rotation 6 + gripper 1."""
    denoiser: DenoiserConfig = choice(DENOISERS, "unet")
    """The network that predicts the noise."""
    conditioning: ConditioningName = "global"
    """How observations reach the denoiser."""
    process: ProcessConfig = choice(PROCESSES, "gaussian")
    """How a trajectory becomes noise and noise a trajectory."""
    horizon: int = number(16, least=1, most=10_000)
    """T: steps of the trajectory that is denoised."""
    n_obs_steps: int = number(2, least=1, most=10_000)
    """To: observations that the policy sees, the last one being now."""
    n_action_steps: int = number(8, least=1, most=10_000)
    """Ta: actions executed before replanning."""
    pred_action_steps_only: bool = False
    """Denoise only the Ta actions that are executed, instead of all T."""
    exclude_padding: bool = False
    """Leave the steps that pad a window's ends out of the loss. The reference keeps them."""
    inpainting: InpaintingConfig = field(default_factory=InpaintingConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)

    @property
    def action_dim(self) -> int:
        """Da: 7 for delta actions, 10 for absolute ones."""
        return get_task(self.task).action_dim if self.action == "delta" else 10

    @property
    def trajectory_steps(self) -> int:
        """Steps of the trajectory that the denoiser sees: T, or Ta with `pred_action_steps_only`."""
        return self.n_action_steps if self.pred_action_steps_only else self.horizon

    # ------------------------------------------------------------------------- how the horizons fit together

    @property
    def executed(self) -> slice:
        """The steps of a window that are executed: Ta of them, the first one now."""
        return slice(self.n_obs_steps - 1, self.n_obs_steps - 1 + self.n_action_steps)

    @property
    def denoised(self) -> slice:
        """The steps of a window that the trajectory consists of."""
        return self.executed if self.pred_action_steps_only else slice(0, self.horizon)

    @property
    def executed_of_trajectory(self) -> slice:
        """The steps of the trajectory that are executed."""
        start = self.executed.start - self.denoised.start
        return slice(start, start + self.n_action_steps)

    @property
    def needs_past_action(self) -> bool:
        """Whether the policy is told the To-1 actions before now; with To = 1 there are none."""
        told = self.conditioning == "inpainting" and self.inpainting.past_action_visible
        return told and self.n_obs_steps > 1

    def __post_init__(self) -> None:
        super().__post_init__()
        get_task(self.task).observation(self.observation)
        check_horizons(self.horizon, self.n_obs_steps, self.n_action_steps)
        self.denoiser.check(
            self.trajectory_steps, "n_action_steps" if self.pred_action_steps_only else "horizon"
        )
        if self.conditioning not in self.denoiser.conditionings:
            raise ConfigError(
                f"conditioning {self.conditioning!r} does not go with the denoiser {self.denoiser.name!r}; "
                f"it takes {' or '.join(map(repr, self.denoiser.conditionings))}"
            )
        if self.pred_action_steps_only and self.conditioning != "global":
            raise ConfigError(
                f"pred_action_steps_only needs conditioning 'global', not {self.conditioning!r}: "
                "observations that share the trajectory's time axis need the whole horizon"
            )
        if self.inpainting.after_now != "denoised" and not self.inpainting.fix_obs_steps:
            raise ConfigError(
                f"inpainting.after_now {self.inpainting.after_now!r} gives every step an observation and "
                "needs inpainting.fix_obs_steps; with a random number of given ones use 'denoised'"
            )


@dataclass(frozen=True)
class DataConfig(Group):
    """Which demonstrations a policy learns from."""

    path: str | None = None
    """A robomimic HDF5 file; without one, the shipped file of the task and observation."""
    max_demonstrations: int | None = number(None, least=1)
    """Use only the first so many demonstrations."""
    train_mask: str = "train"
    """The file's mask that names what is trained on, such as robomimic's 20_percent_train or better_train."""
    valid_mask: str = "valid"
    """The mask that names what is held out; it shares no demonstration with `train_mask`."""


@dataclass(frozen=True)
class TrainingConfig(Group):
    """How a policy is trained."""

    where: ClassVar[str] = "training."

    seed: int = number(0, least=0, most=2**32 - 1)
    """Decides weights, batches and noise; the same seed on the same machine gives the same policy."""
    steps: int = number(6000, least=1, most=10**9)
    """Optimiser steps."""
    batch_size: int = number(128, least=1, most=10**6)
    """B: windows per optimiser step, over all processes."""
    noise_draws: int = number(1, least=1, most=10**4)
    """Noises and diffusion steps for each window of a step; its observations are encoded once for all."""
    learning_rate: float = number(6e-4, above=0, most=10**9)
    """Peak of the cosine schedule."""
    warmup_steps: int = number(500, least=0)
    """Steps over which the learning rate rises linearly from 0."""
    betas: tuple[float, float] = number((0.95, 0.999), least=0, below=1)
    """AdamW's averaging rates."""
    weight_decay: float = number(1e-6, least=0)
    """AdamW's decay of the denoiser's weights."""
    encoder_weight_decay: float = number(1e-6, least=0)
    """AdamW's decay of the image encoder's weights."""
    ema_power: float = number(0.75, above=0)
    """The weight average's memory grows as 1 - (1 + step)^-power."""
    ema_max_decay: float = number(0.9999, least=0, below=1)
    """Upper end of the weight average's decay."""
    gradient_accumulation_steps: int = number(1, least=1)
    """Forward and backward passes per optimiser step; B is split among them."""
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Arithmetic of forward and backward pass; auto: bf16 for cameras where this machine is faster in it."""
    log_every: int = number(50, least=1)
    """Steps between entries of the log."""
    validate_every: int = number(1000, least=1)
    """Steps between validation losses."""
    checkpoint_every: int = number(1000, least=1)
    """Steps between checkpoints."""
    keep_checkpoints: int = number(2, least=1)
    """Older checkpoints than the newest so many are deleted."""
    compile: Literal["no", "inductor", "eager"] = "no"
    """torch.compile the denoiser (inductor, a minute; on the CPUs measured, "no" is faster); eager traces."""
    rollout_every: int = number(0, least=0)
    """Steps between rollouts in the simulator while training; 0 for none. They choose the best checkpoint."""
    rollout_episodes: int = number(10, least=1)
    """Episodes of each such rollout."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size % self.gradient_accumulation_steps:
            raise ConfigError(
                f"training.batch_size {self.batch_size} is not divisible by "
                f"training.gradient_accumulation_steps {self.gradient_accumulation_steps}"
            )


@dataclass(frozen=True)
class Config(Group):
    """A whole run: what is trained, on what, and how."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
