"""What every observation encoder is, and the one for the simulator's state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import ObservationKey


class ObservationEncoder(nn.Module):
    """Turns a dictionary of normalised readings (N, ...) into features (N, Do).

    Attributes:
        keys: the entries it reads, in the order in which their features are concatenated.
        obs_feature_dim: Do.
    """

    def __init__(self, keys: Sequence[ObservationKey]) -> None:
        super().__init__()
        names = [key.name for key in keys]
        if not names:
            raise ConfigError("an observation encoder got no keys; give it at least one ObservationKey")
        if len(set(names)) != len(names):
            raise ConfigError(f"observation keys {names} repeat a name; give each key once")
        self.keys = tuple(keys)

    @property
    def obs_feature_dim(self) -> int:
        """Do, the number of features."""
        raise NotImplementedError

    def forward(self, obs: Mapping[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """Encodes N frames.

        Args:
            obs: normalised readings by key, each (N, *shape of the key); other entries are ignored.
            generator: source of random crops in training mode; None takes torch's global one on the CPU.

        Returns:
            Features (N, Do).

        Raises:
            ConfigError: if a key is missing, or a reading's shape or dtype is not what its key says.
        """
        raise NotImplementedError

    def change_readings(self, before: Normalizer, after: Normalizer) -> None:
        """Told that its readings come in other units from now on.

        An encoder that was taught what its readings mean adapts itself; most learn it with the policy, and
        do nothing.

        Args:
            before: in whose units the readings came.
            after: in whose units they will come.
        """

    def check(self, obs: Mapping[str, Tensor]) -> None:
        """Refuses observations that do not fit the keys; see `forward`."""
        frames = None
        for key in self.keys:
            if key.name not in obs:
                raise ConfigError(
                    f"observation lacks {key.name!r}; found {sorted(obs)}, wanted {self._names()}"
                )
            value = obs[key.name]
            found, wanted = tuple(value.shape), f"(N, {', '.join(map(str, key.shape))})"
            if found[1:] != key.shape:
                hint = ": fold batch and time into N" if found[2:] == key.shape else ""
                raise ConfigError(f"observation {key.name!r} has shape {found}, wanted {wanted}{hint}")
            if not value.is_floating_point():
                raise ConfigError(
                    f"observation {key.name!r} is {value.dtype}, wanted normalised floats:"
                    " use the normalizer first"
                )
            if found[0] == 0:
                raise ConfigError(
                    f"observation {key.name!r} has shape {found}: no frames, wanted at least one"
                )
            frames = frames or found[0]
            if found[0] != frames:
                raise ConfigError(
                    f"observation {key.name!r} has {found[0]} frames,"
                    f" wanted {frames} as in {self.keys[0].name!r}"
                )

    def _names(self) -> list[str]:
        return [key.name for key in self.keys]


class LowDimEncoder(ObservationEncoder):
    """Concatenates low-dimensional readings in the order of the keys; it has no parameters.

    Raises:
        ConfigError: if there is no key, a key twice, or an image among the keys.
    """

    def __init__(self, keys: Sequence[ObservationKey]) -> None:
        super().__init__(keys)
        images = [key.name for key in keys if key.type != "low_dim"]
        if images:
            raise ConfigError(
                f"LowDimEncoder got image keys {images}, wanted low_dim keys; use RobomimicImageEncoder"
            )

    @property
    def obs_feature_dim(self) -> int:
        """Do, the sum of the keys' sizes."""
        return sum(math.prod(key.shape) for key in self.keys)

    def forward(self, obs: Mapping[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """Readings (N, ...) to features (N, Do); see `ObservationEncoder.forward`. Nothing is random here."""
        self.check(obs)
        return torch.cat([obs[key.name].flatten(start_dim=1) for key in self.keys], dim=-1)  # (N, Do)
