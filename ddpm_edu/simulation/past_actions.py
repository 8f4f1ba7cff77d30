"""What was done before now, for policies that are told it: the same in rollouts, figures and players."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ddpm_edu.data.actions import at_rest
from ddpm_edu.tasks import Task

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy


def past_actions(
    policy: DiffusionPolicy,
    task: Task,
    observations: Mapping[str, Any],
    actions: Sequence[Sequence[np.ndarray] | np.ndarray | None],
) -> dict[str, torch.Tensor]:
    """The keyword argument with which `predict_action` is told the actions before now.

    Before an episode's first action the arm rests, its hand open.

    Args:
        policy: says whether it is told, and how many.
        task: the task.
        observations: what the policy sees now, {key: (B, To, ...)}, arrays or tensors.
        actions: for each of the B rows the actions of its episode so far, each (Da,); None where nothing is
            played.

    Returns:
        {"past_action": (B, To-1, Da)}, on the policy's device; nothing for a policy that is not told.
    """
    if not policy.config.needs_past_action:
        return {}
    steps, Da = policy.n_obs_steps - 1, policy.action_dim
    past = torch.zeros(len(actions), steps, Da)
    for row, taken in enumerate(actions):
        if taken is None:
            continue
        recent = torch.from_numpy(np.array(taken[max(len(taken) - steps, 0) :], np.float32).reshape(-1, Da))
        keys = ("robot0_eef_pos", "robot0_eef_quat")
        pose = [torch.as_tensor(observations[key][row, : steps - len(recent)]).cpu() for key in keys]
        past[row] = torch.cat([at_rest(*pose, task, policy.config.action), recent])
    return {"past_action": past.to(policy.device)}
