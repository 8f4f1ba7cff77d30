"""Looks over a policy's shoulder while it denoises one chunk of actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ddpm_edu.simulation.past_actions import past_actions
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


def watch_denoising(
    policy: DiffusionPolicy,
    obs: Mapping[str, torch.Tensor],
    seed: int = 0,
    actions: Sequence[np.ndarray] | np.ndarray | None = None,
) -> Denoising:
    """Let the policy decide once and keep every intermediate trajectory.

    Args:
        policy: decides.
        obs: what it sees, {key: (1, To, ...)}.
        seed: of the noise.
        actions: those of the episode so far, each (Da,), for a policy that is told the last of them.

    Raises:
        ConfigError: if a policy that is told past actions gets none; at an episode's start give [].
    """
    task = get_task(policy.config.task)
    past = {} if actions is None else past_actions(policy, task, obs, [actions])
    timesteps, trajectories, _ = _decide(policy, obs, torch.Generator().manual_seed(seed), past)
    return Denoising(
        task,
        tuple(timesteps),
        trajectories[:, 0],
        policy.config.executed_of_trajectory.start + 1,
        policy.n_action_steps,
    )


def look_ahead(
    policy: DiffusionPolicy,
    history: Sequence[Mapping[str, np.ndarray]],
    actions: Sequence[np.ndarray],
    noises: list[torch.Generator],
) -> tuple[list[float], np.ndarray, np.ndarray]:
    """What a policy considers at one moment of an episode, once for each of N noises.

    Args:
        policy: decides.
        history: all observations of the episode so far, {key: (...)}, the last one being now.
        actions: those that led there, each (Da,), one fewer.
        noises: each one's generator.

    Returns:
        The time of each level, -1 last; the plans there (levels, N, steps, Da), from the step executed first;
        and the first plan's actions (Ta, Da).
    """
    To, N = policy.n_obs_steps, len(noises)
    recent = [history[max(index, 0)] for index in range(len(history) - To, len(history))]
    observations = {key: np.stack([seen[key] for seen in recent])[None] for key in recent[0]}  # (1, To, ...)
    past = past_actions(policy, get_task(policy.config.task), observations, [actions])
    obs = {key: torch.from_numpy(value).expand(N, *value.shape[1:]) for key, value in observations.items()}
    past = {key: value.expand(N, *value.shape[1:]) for key, value in past.items()}
    times, trajectories, action = _decide(policy, obs, noises, past)
    return times, trajectories[:, :, policy.config.executed_of_trajectory.start :], action[0]


def _decide(
    policy: DiffusionPolicy,
    obs: Mapping[str, torch.Tensor],
    generator: torch.Generator | list[torch.Generator],
    past: Mapping[str, torch.Tensor],
) -> tuple[list[float], np.ndarray, np.ndarray]:
    """The times of all levels, the actions there (levels, B, T, Da), and those to execute (B, Ta, Da)."""
    times: list[float] = []
    trajectories: list[np.ndarray] = []

    def keep(_: int, time: float, trajectory: torch.Tensor) -> None:
        naction = trajectory[..., : policy.action_dim]  # (B, T, Da)
        times.append(time)
        trajectories.append(policy.normalizer["action"].unnormalize(naction).cpu().numpy())

    obs = {key: value.to(policy.device) for key, value in obs.items()}
    action = policy.predict_action(obs, generator=generator, callback=keep, **past)["action"]
    return times, np.stack(trajectories), action.cpu().numpy()


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
