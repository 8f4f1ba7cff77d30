"""What a policy refuses to be given: one line that names the key, what was found and what is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import ObservationKey


def shapes_of(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Shape and type of every tensor: what can be compared without waiting for a device."""
    return {
        key: shapes_of(value) if isinstance(value, Mapping) else (tuple(value.shape), value.dtype)
        for key, value in batch.items()
    }


def check_batch(
    batch: Mapping[str, Any],
    keys: Iterable[ObservationKey],
    horizon: int,
    action_dim: int,
    obs_steps: int,
) -> None:
    """Refuse a training batch that does not fit a policy.

    Args:
        batch: what is checked.
        keys: what the policy sees.
        horizon: T.
        action_dim: Da.
        obs_steps: observation steps that it trains on, To or T. A batch has so many, or T.

    Raises:
        ConfigError: on a missing key, a wrong shape or dtype, no samples, or a value that is not finite.
    """
    for key in ("obs", "action"):
        if key not in batch:
            raise ConfigError(f"the batch has no {key!r}; it has {', '.join(map(repr, batch)) or 'no keys'}")
    action = batch["action"]
    if action.ndim != 3 or tuple(action.shape[1:]) != (horizon, action_dim):
        raise ConfigError(
            f"batch['action'] has shape {tuple(action.shape)}; it must be (B, {horizon}, {action_dim}): "
            f"horizon T = {horizon} and action_dim Da = {action_dim}"
        )
    check_values("batch['action']", action, torch.float32)
    _check_obs(batch["obs"], keys, obs_steps, "batch['obs']", action.shape[0], longest=horizon)


def check_observation(obs: Mapping[str, Tensor], keys: Iterable[ObservationKey], n_obs_steps: int) -> int:
    """Refuse an observation history that does not fit a policy.

    Args:
        obs: what is checked.
        keys: what the policy sees.
        n_obs_steps: To. A longer history is refused: which of its steps is now would be a guess.

    Returns:
        B.

    Raises:
        ConfigError: on a missing key, a wrong shape or dtype, no samples, or a value that is not finite.
    """
    return _check_obs(obs, keys, n_obs_steps, "obs", None, longest=n_obs_steps)


def _check_obs(
    obs: Mapping[str, Tensor],
    keys: Iterable[ObservationKey],
    steps: int,
    name: str,
    batch_size: int | None,
    longest: int,
) -> int:
    for key in keys:
        if key.name not in obs:
            raise ConfigError(f"{name} has no {key.name!r}; it has {', '.join(map(repr, obs)) or 'no keys'}")
        value, where = obs[key.name], f"{name}[{key.name!r}]"
        shape = "".join(f", {size}" for size in key.shape)
        if value.ndim != 2 + len(key.shape) or tuple(value.shape[2:]) != key.shape:
            raise ConfigError(f"{where} has shape {tuple(value.shape)}; it must be (B, {steps}{shape})")
        if value.shape[1] < steps:
            raise ConfigError(f"{where} has {value.shape[1]} observation steps; the policy needs {steps}")
        if value.shape[1] not in (steps, longest):
            raise ConfigError(
                f"{where} has {value.shape[1]} observation steps; the policy sees {steps}, the last one "
                f"being now: give it the last {steps}, {where}[:, -{steps}:]"
            )
        batch_size = value.shape[0] if batch_size is None else batch_size
        if value.shape[0] != batch_size:
            raise ConfigError(
                f"{where} has {value.shape[0]} samples, but the rest of the batch has {batch_size}"
            )
        check_values(where, value, torch.uint8 if key.type == "rgb" else torch.float32)
    return batch_size


def check_values(where: str, value: Tensor, dtype: torch.dtype) -> None:
    """Refuse a tensor without samples, of another type, or with values that are not finite.

    Raises:
        ConfigError: with the name `where` and what was found.
    """
    if value.shape[0] == 0:
        raise ConfigError(f"{where} has no samples; a batch needs at least one")
    if value.dtype != dtype:
        raise ConfigError(f"{where} is {value.dtype}; it must be {dtype}")
    if dtype.is_floating_point and not bool(torch.isfinite(value).all()):
        found = int((~torch.isfinite(value)).sum())
        raise ConfigError(f"{where} has {found} values that are NaN or infinite; remove them from the data")
