"""One attempt of an expert, recorded as a demonstration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass

import numpy as np

from ddpm_edu.data.writer import Demonstration
from ddpm_edu.simulation.env import ManipulationEnv
from ddpm_edu.tasks.base import Observation
from ddpm_edu.tasks.scripted import CLOSE, OPEN, Hand, reach, wrap

LEADING = 25
"""Steps in which the hand is led to another beginning."""


@dataclass(frozen=True)
class Disturbance:
    """What disturbs an expert while it is recorded, so that the data also shows how to recover.

    The expert reacts to where it has been pushed, and the action that was executed is recorded, push
    included: a replay meets the same states. Unsteadiness shakes every step a little; pushes are rare and
    carry the hand some centimetres away, and everything that follows one is the expert's own correction.
    (Laskey et al. 2017, "DART: Noise Injection for Robust Imitation Learning", for the idea.)

    Attributes:
        unsteadiness: standard deviation added to the six motion entries of an action.
        memory: how much of it stays from one step to the next.
        push_chance: chance of a push beginning at a step.
        push_length: steps that a push lasts.
        push_size: length of the translation that a push adds, as a fraction of the largest action.
        elsewhere: share of attempts that are recorded from another beginning: before the first recorded step
            the hand is led anywhere about the object, open or closed. None for what the task says.
    """

    unsteadiness: float = 0.04
    memory: float = 0.7
    push_chance: float = 0.008
    push_length: int = 3
    push_size: float = 0.7
    elsewhere: float | None = None


def record_attempt(
    env: ManipulationEnv, seed: int, disturbance: Disturbance | None = None
) -> tuple[Demonstration, bool]:
    """Lets an expert try one episode.

    Args:
        env: the environment; its images are recorded as well if it has any.
        seed: decides the episode's first state, the expert's style and the disturbance.
        disturbance: how the expert is disturbed; the defaults if None.

    Returns:
        What happened, and whether it was a success.
    """
    disturbance = disturbance or Disturbance()
    rng = np.random.default_rng([seed, 1])  # another stream than the one that draws the first state
    observation, _ = env.reset(seed=seed)
    elsewhere = env.task.elsewhere if disturbance.elsewhere is None else disturbance.elsewhere
    # Not drawn where it decides nothing: the demonstrations of a seed stay what they were.
    if elsewhere and rng.random() < elsewhere:
        observation = _lead_elsewhere(env, observation, rng)
    expert = env.task.make_expert(env.low_dim_observation(), rng)
    rows: dict[str, list[np.ndarray]] = {}
    actions, states, rewards = [], [], []
    shake, push, push_left = np.zeros(6), np.zeros(6), 0
    terminated = truncated = False
    while not (terminated or truncated):
        low_dim = env.low_dim_observation()
        for key, value in {**low_dim, **observation}.items():
            rows.setdefault(key, []).append(np.moveaxis(value, 0, -1) if value.ndim == 3 else value)
        action = expert(low_dim)  # (Da,)
        shake = disturbance.memory * shake + rng.normal(
            0.0, disturbance.unsteadiness * np.sqrt(1 - disturbance.memory**2), 6
        )
        if push_left == 0 and rng.random() < disturbance.push_chance:
            direction = rng.normal(size=3)
            push = np.concatenate(
                [disturbance.push_size * direction / np.linalg.norm(direction), np.zeros(3)]
            )
            push_left = disturbance.push_length
        action[:6] += shake + (push if push_left else 0.0)
        push_left = max(0, push_left - 1)
        action = np.clip(action, -1.0, 1.0)
        states.append(env.get_state())
        actions.append(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        rewards.append(reward)
    style = asdict(expert) if is_dataclass(expert) else {}
    demonstration = Demonstration(
        obs={key: np.stack(values) for key, values in rows.items()},
        actions=np.stack(actions),
        states=np.stack(states),
        rewards=np.array(rewards),
        model_xml=env.model_xml,
        attributes={"seed": seed, **{f"style_{name}": value for name, value in style.items()}},
    )
    return demonstration, bool(terminated)


def _lead_elsewhere(env: ManipulationEnv, observation: Observation, rng: np.random.Generator) -> Observation:
    """Leads the hand to a random place about the object, and returns the observation there."""
    aside, above, turn = rng.uniform(-0.06, 0.06, 2), rng.uniform(0.0, 0.12), rng.uniform(-0.6, 0.6)
    gripper = OPEN if rng.random() < 0.5 else CLOSE
    for _ in range(LEADING):
        low_dim = env.low_dim_observation()
        hand = Hand.of(low_dim)
        place = low_dim["object"][:3] + np.array([*aside, above])
        action = reach(hand, place, wrap(turn - hand.yaw), 1.0, gripper)
        observation, _, terminated, _, _ = env.step(action)
        if terminated:  # picked up on the way, by chance
            break
    return observation
