"""Looks over a policy's shoulder while it denoises one chunk of actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ddpm_edu.simulation.results import Episode
from ddpm_edu.tasks import Task, get_task

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy
    from ddpm_edu.simulation.env import ManipulationEnv


@dataclass(frozen=True)
class Denoising:
    """One action trajectory at every level of noise, from pure noise to the result.

    Attributes:
        task: the task.
        timesteps: diffusion step k of each level; -1 is the result.
        trajectories: actions as the simulator takes them (levels, T, Da).
        n_obs_steps: To; the action at index To-1 is executed first.
        n_action_steps: Ta: actions that are executed.
    """

    task: Task
    timesteps: tuple[int, ...]
    trajectories: np.ndarray
    n_obs_steps: int
    n_action_steps: int


def watch_denoising(policy: DiffusionPolicy, obs: Mapping[str, torch.Tensor], seed: int = 0) -> Denoising:
    """Let the policy decide once and keep every intermediate trajectory.

    Args:
        policy: decides.
        obs: what it sees, {key: (1, To, ...)}.
        seed: of the noise.
    """
    timesteps: list[int] = []
    trajectories: list[np.ndarray] = []

    def keep(_: int, timestep: int, trajectory: torch.Tensor) -> None:
        naction = trajectory[..., : policy.action_dim]  # (1, T, Da)
        timesteps.append(timestep)
        trajectories.append(policy.normalizer["action"].unnormalize(naction)[0].cpu().numpy())

    obs = {key: value.to(policy.device) for key, value in obs.items()}
    policy.predict_action(obs, generator=torch.Generator().manual_seed(seed), callback=keep)
    return Denoising(
        get_task(policy.config.task),
        tuple(timesteps),
        np.stack(trajectories),
        policy.config.executed_of_trajectory.start + 1,
        policy.n_action_steps,
    )


def decisive_step(episode: Episode, n_action_steps: int) -> int:
    """The control step of the decision in which the hand first closes; the middle one if it never does.

    The grasp is where a trajectory has most to say: the arm slows down and the gripper changes its mind.
    """
    closing = np.flatnonzero(episode.actions[:, -1] > 0)
    step = closing[0] if closing.size else episode.length // 2
    return int(step // n_action_steps * n_action_steps)


@contextmanager
def play_to(
    policy: DiffusionPolicy, seed: int, actions: Iterable[np.ndarray]
) -> Iterator[tuple[ManipulationEnv, dict[str, torch.Tensor]]]:
    """A simulator after these actions of an episode, and what the policy sees then, {key: (1, To, ...)}.

    Args:
        policy: says what is observed, and how many steps of it.
        seed: the episode's.
        actions: (L, Da), played from its start.

    Raises:
        SimulatorError: if the policy sees images and there is no renderer.
    """
    from ddpm_edu.simulation.env import make_env

    simulator = make_env(policy.config.task, policy.config.observation)
    try:
        observation, _ = simulator.reset(seed=seed)
        history = [observation] * policy.n_obs_steps
        for action in actions:  # (Da,)
            history.append(simulator.step(action)[0])
        recent = history[-policy.n_obs_steps :]
        yield (
            simulator,
            {
                key: torch.from_numpy(np.stack([step[key] for step in recent]))[None]  # (1, To, ...)
                for key in recent[0]
            },
        )
    finally:
        simulator.close()


def observe(episode: Episode, policy: DiffusionPolicy, step: int) -> dict[str, torch.Tensor]:
    """What the policy saw at a control step of an episode, {key: (1, To, ...)}; see `play_to`."""
    with play_to(policy, episode.seed, episode.actions[:step]) as (_, obs):
        return obs
