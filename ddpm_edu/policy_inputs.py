"""What a policy refuses to be given: one line that names the key, what was found and what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import get_task

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy


def check_batch(batch: Mapping[str, Any], policy: DiffusionPolicy) -> None:
    """Refuse a training batch that does not fit the policy.

    Raises:
        ConfigError: on a missing key, a wrong shape or dtype, no samples, or a value that is not finite.
    """
    for key in ("obs", "action"):
        if key not in batch:
            raise ConfigError(f"the batch has no {key!r}; it has {', '.join(map(repr, batch)) or 'no keys'}")
    action = batch["action"]
    wanted = (policy.horizon, policy.action_dim)
    if action.ndim != 3 or tuple(action.shape[1:]) != wanted:
        raise ConfigError(
            f"batch['action'] has shape {tuple(action.shape)}; it must be (B, {wanted[0]}, {wanted[1]}): "
            f"horizon T = {wanted[0]} and action_dim Da = {wanted[1]}"
        )
    _check_values("batch['action']", action, torch.float32)
    _check_obs(batch["obs"], policy, policy.conditioning.training_obs_steps, "batch['obs']", action.shape[0])


def check_observation(obs: Mapping[str, Tensor], policy: DiffusionPolicy) -> None:
    """Refuse an observation history that does not fit the policy.

    Raises:
        ConfigError: on a missing key, a wrong shape or dtype, no samples, or a value that is not finite.
    """
    _check_obs(obs, policy, policy.n_obs_steps, "obs", None)


def _check_obs(
    obs: Mapping[str, Tensor], policy: DiffusionPolicy, steps: int, name: str, batch_size: int | None
) -> None:
    for key in get_task(policy.config.task).observation(policy.config.observation):
        if key.name not in obs:
            raise ConfigError(f"{name} has no {key.name!r}; it has {', '.join(map(repr, obs)) or 'no keys'}")
        value, where = obs[key.name], f"{name}[{key.name!r}]"
        shape = "".join(f", {size}" for size in key.shape)
        if value.ndim != 2 + len(key.shape) or tuple(value.shape[2:]) != key.shape:
            raise ConfigError(f"{where} has shape {tuple(value.shape)}; it must be (B, {steps}{shape})")
        if value.shape[1] < steps:
            raise ConfigError(f"{where} has {value.shape[1]} observation steps; the policy needs {steps}")
        batch_size = value.shape[0] if batch_size is None else batch_size
        if value.shape[0] != batch_size:
            raise ConfigError(
                f"{where} has {value.shape[0]} samples, but the rest of the batch has {batch_size}"
            )
        _check_values(where, value, torch.uint8 if key.type == "rgb" else torch.float32)


def _check_values(where: str, value: Tensor, dtype: torch.dtype) -> None:
    if value.shape[0] == 0:
        raise ConfigError(f"{where} has no samples; a batch needs at least one")
    if value.dtype != dtype:
        raise ConfigError(f"{where} is {value.dtype}; it must be {dtype}")
    if dtype.is_floating_point and not bool(torch.isfinite(value).all()):
        found = int((~torch.isfinite(value)).sum())
        raise ConfigError(f"{where} has {found} values that are NaN or infinite; remove them from the data")
