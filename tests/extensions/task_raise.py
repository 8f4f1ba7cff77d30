"""A task of somebody else's: the cube of Lift, with half the time, and an expert that is a plain function."""

from __future__ import annotations

import numpy as np

from ddpm_edu.tasks import TASKS, Task
from ddpm_edu.tasks.base import Expert, Observation
from ddpm_edu.tasks.scripted import CLOSE, OPEN, Hand, ramp, reach


def straight_down(first: Observation, rng: np.random.Generator) -> Expert:
    """An expert that does not turn to the cube: the fingers turn it."""
    speed = rng.uniform(0.9, 1.0)

    def act(observation: Observation) -> np.ndarray:
        hand, cube = Hand.of(observation), observation["object"][:3].astype(np.float64)
        aside = float(np.linalg.norm((cube - hand.position)[:2]))
        placed = aside < 0.012 and abs(cube[2] - hand.position[2]) < 0.012
        held = placed and hand.width < 0.046
        cube[2] += 0.1 if held else 0.08 * ramp(aside, 0.008, 0.05)
        return reach(hand, cube, 0.0, speed, CLOSE if placed else OPEN)

    return act


TASKS.register(Task("raise", "Raise the cube", "Lift", "cube_main", straight_down, max_steps=100))
