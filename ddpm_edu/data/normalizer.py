"""Brings observations and actions to the range in which diffusion works, and back.

The forward process ends in noise of variance 1 and samplers clip to [-1, 1], so actions must lie there.
Each entry of a key has a centre and a scale:

    normalised = (value - center) / scale        value = normalised * scale + center

What they are is the entry's mode:

* "limits": the middle and half the range of the training data, so that it fills [-1, 1].
* "gaussian": its mean and standard deviation (what must not be combined with clipping).
* "identity": 0 and 1. For quaternions and rotation matrices, whose entries depend on each other and lie in
  [-1, 1] already, and for delta actions, whose limits the controller sets.

Images are uint8 and map [0, 255] to [-1, 1], whatever the data. Defaults follow Chi et al. 2023 for its image
policies; their low-dim policies give all observation entries one common scale, ours each its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import CheckpointError, ConfigError, DatasetError
from ddpm_edu.tasks import ObservationMode, Task, get_task

Mode = Literal["limits", "gaussian", "identity", "image"]

CONSTANT_RANGE = 1e-4
"""An entry that varies by less counts as constant. Dividing by such a range would turn sensor noise of a
tenth of a millimetre into full scale, and an unseen value into thousands."""

_MODE_OF_KIND: dict[str, Mode] = {
    "position": "limits",
    "gripper": "limits",
    "object": "limits",
    "quaternion": "identity",
    "image": "image",
}
_ABSOLUTE_ACTION: tuple[Mode, ...] = ("limits",) * 3 + ("identity",) * 7


class KeyNormalizer(nn.Module):
    """Normalises one key.

    Args:
        name: the key, for messages.
        modes: one mode for each entry of the last axis, or ("image",).

    Attributes:
        center: (Do,) float32 buffer; scalar for images.
        scale: (Do,) float32 buffer, above 0; scalar for images.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, name: str, modes: Sequence[Mode]) -> None:
        super().__init__()
        self.name, self.modes = name, tuple(modes)
        for mode in self.modes:
            if mode not in ("limits", "gaussian", "identity", "image"):
                raise ConfigError(
                    f"the mode of {name!r} is {mode!r}; it must be 'limits', 'gaussian' or 'identity'"
                )
        if self.is_image:
            self.register_buffer("center", torch.tensor(127.5))
            self.register_buffer("scale", torch.tensor(127.5))
        else:
            self.register_buffer("center", torch.zeros(len(self.modes)))
            self.register_buffer("scale", torch.ones(len(self.modes)))

    @property
    def is_image(self) -> bool:
        """Whether the key holds images."""
        return self.modes == ("image",)

    def fit(self, values: np.ndarray) -> None:
        """Set centre and scale from data (N, Do). Images need none.

        Raises:
            DatasetError: if there are no values, or one is not finite.
            ConfigError: if the values have another number of entries.
        """
        if self.is_image:
            return
        self._check_entries(values.shape)
        if len(values) == 0:
            raise DatasetError(f"there are no values of {self.name!r} to fit a normalizer to")
        if not np.isfinite(values).all():
            raise DatasetError(f"{self.name!r} holds values that are not finite; remove them from the data")
        low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)  # (Do,)
        constant = high - low < CONSTANT_RANGE
        for entry, mode in enumerate(self.modes):
            if mode == "identity":
                center, scale = 0.0, 1.0
            elif constant[entry] or mode == "limits":
                center, scale = (low[entry] + high[entry]) / 2, (high[entry] - low[entry]) / 2
            else:
                center = values[:, entry].mean(dtype=np.float64)
                scale = values[:, entry].std(dtype=np.float64)
            self.center[entry] = center
            self.scale[entry] = 1.0 if constant[entry] else scale

    def normalize(self, values: Tensor) -> Tensor:
        """Values (..., Do) to float32 (..., Do), the type of center and scale.

        Images (..., 3, H, W) keep their order in memory.

        Raises:
            ConfigError: if the values have another number of entries, or images are not uint8.
        """
        if self.is_image:
            if values.dtype != torch.uint8:
                raise ConfigError(f"{self.name!r} is {values.dtype}; images must be torch.uint8, 0 to 255")
            # In place on the fresh copy: images are large, and each pass over them counts.
            return values.to(torch.float32).sub_(self.center).div_(self.scale)
        self._check_entries(values.shape)
        return ((values - self.center) / self.scale).to(self.scale.dtype)

    def unnormalize(self, values: Tensor) -> Tensor:
        """The inverse of `normalize`; images come back as uint8."""
        if self.is_image:
            return (values * self.scale + self.center).round_().clamp_(0, 255).to(torch.uint8)
        self._check_entries(values.shape)
        return values * self.scale + self.center

    def _check_entries(self, shape: tuple[int, ...]) -> None:
        if len(shape) == 0 or shape[-1] != len(self.modes):
            raise ConfigError(
                f"{self.name!r} has shape {tuple(shape)}; its last axis must have {len(self.modes)} entries"
            )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, metadata: Any, strict: bool, *rest: Any
    ) -> None:
        # Also where a caller is not strict: with a missing scale a policy would run, and act wrongly.
        for name, own in (("center", self.center), ("scale", self.scale)):
            found = state_dict.get(prefix + name)
            if found is None:
                raise CheckpointError(
                    f"the checkpoint has no {prefix + name!r}: it holds no normalizer for {self.name!r}; "
                    "use a checkpoint of the same task, observation and action"
                )
            if found.shape != own.shape:
                raise CheckpointError(
                    f"the checkpoint's {prefix + name!r} has shape {tuple(found.shape)}; {self.name!r} needs "
                    f"{tuple(own.shape)}: use a checkpoint of the same task, observation and action"
                )
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, *rest)

    def extra_repr(self) -> str:
        """The key and its modes, in `print(normalizer)`."""
        return f"{self.name!r}, modes={self.modes[0] if len(set(self.modes)) == 1 else self.modes}"


class Normalizer(nn.Module):
    """Normalises the observation keys of a task and its actions. Its numbers are saved with the policy.

    Until it is fitted or loaded it leaves low-dim values as they are.

    Args:
        modes: {key: one mode for each entry, or ("image",)}.
    """

    def __init__(self, modes: Mapping[str, Sequence[Mode]]) -> None:
        super().__init__()
        self.fields = nn.ModuleDict({name: KeyNormalizer(name, entries) for name, entries in modes.items()})

    @classmethod
    def from_spec(
        cls,
        task: str | Task,
        observation: ObservationMode = "low_dim",
        action: Literal["delta", "absolute"] = "delta",
        modes: Mapping[str, Mode] | None = None,
    ) -> Normalizer:
        """The normalizer of a task, not yet fitted: `fit` it, or load its state.

        Args:
            task: the task.
            observation: which of its observations.
            action: "delta" (Da = 7, identity) or "absolute" (Da = 10, position to limits, rest identity).
            modes: other modes than the default, {key or "action": mode of all its entries}.

        Raises:
            ConfigError: on an unknown name or mode.
        """
        task = get_task(task)
        chosen: dict[str, tuple[Mode, ...]] = {}
        for key in task.observation(observation):
            mode = _MODE_OF_KIND[key.kind]
            chosen[key.name] = (mode,) if mode == "image" else (mode,) * key.shape[0]
        if action == "delta":
            chosen["action"] = ("identity",) * task.action_dim
        elif action == "absolute":
            chosen["action"] = _ABSOLUTE_ACTION
        else:
            raise ConfigError(f"action is {action!r}; it must be 'delta' or 'absolute'")
        for name, mode in (modes or {}).items():
            if name not in chosen:
                raise ConfigError(f"there is no key {name!r} to normalise; there are {_names(chosen)}")
            if (chosen[name] == ("image",)) != (mode == "image"):
                raise ConfigError(f"{name!r} cannot have mode {mode!r}; images have 'image', and only they")
            chosen[name] = (mode,) * len(chosen[name])
        return cls(chosen)

    def fit(self, demonstrations: Demonstrations) -> Normalizer:
        """Set every centre and scale from the demonstrations that are trained on, and from no others.

        Raises:
            ConfigError: if the demonstrations lack a key, or their actions have another number of entries.
            DatasetError: if a value is not finite.
        """
        for name, normalizer in self.fields.items():
            if name == "action":
                values = demonstrations.action
            elif name in demonstrations.obs:
                values = demonstrations.obs[name]
            else:
                raise ConfigError(
                    f"the demonstrations have no {name!r}; they have {_names(demonstrations.obs)}: read them "
                    "with the policy's observation"
                )
            normalizer.fit(values)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        own = {prefix + name for name in self.state_dict()}
        for name in state_dict:
            if name.startswith(prefix) and name not in own:
                raise CheckpointError(
                    f"the checkpoint has an entry {name!r} that this normalizer has no place for; it "
                    f"normalises {_names(self.fields)}: use a checkpoint of the same observation and action"
                )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __getitem__(self, name: str) -> KeyNormalizer:
        """The normalizer of one key or of "action".

        Raises:
            ConfigError: if there is none.
        """
        if name not in self.fields:
            raise ConfigError(f"there is no normalizer for {name!r}; there are {_names(self.fields)}")
        return self.fields[name]

    def normalize(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every key of a dictionary {key: (..., Do)}; see `KeyNormalizer.normalize`."""
        return {name: self[name].normalize(value) for name, value in values.items()}

    def unnormalize(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of `normalize`."""
        return {name: self[name].unnormalize(value) for name, value in values.items()}


def _names(names: Mapping[str, Any] | nn.ModuleDict) -> str:
    return ", ".join(map(repr, names.keys()))
