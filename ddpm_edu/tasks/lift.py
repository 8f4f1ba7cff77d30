"""Lift: pick the cube up. robomimic's easiest task: the whole way to a policy takes minutes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddpm_edu.tasks.base import TASKS, Observation, Task
from ddpm_edu.tasks.scripted import CLOSE, OPEN, Hand, ramp, reach, wrap, yaw_of


@dataclass(frozen=True)
class LiftExpert:
    """Comes down on the cube, turned to two of its sides, grasps it and lifts it.

    Attributes:
        quarter: which of the cube's four sides is grasped, as its turn against the cube's own, radians.
        grasp_height: height of the finger tips above the cube's centre, metres.
        speed: longest translation per step.
    """

    HELD_WIDTH = 0.044  # the fingers' distance with the cube between them

    quarter: float
    grasp_height: float
    speed: float

    @classmethod
    def draw(cls, first: Observation, rng: np.random.Generator) -> LiftExpert:
        """An expert for one episode: a side is likelier the less the hand has to turn for it."""
        quarters = np.arange(4) * np.pi / 2
        turns = np.abs([wrap(yaw_of(first["object"][3:7]) + quarter) for quarter in quarters])
        likelihood = np.exp(-(turns - turns.min()) / 0.1)
        return cls(
            quarter=float(rng.choice(quarters, p=likelihood / likelihood.sum())),
            grasp_height=float(rng.uniform(0.0, 0.006)),
            speed=float(rng.uniform(0.85, 1.0)),
        )

    def __call__(self, observation: Observation) -> np.ndarray:
        hand = Hand.of(observation)
        cube = observation["object"][:3].astype(np.float64)
        turn = wrap(yaw_of(observation["object"][3:7]) + self.quarter - hand.yaw)
        aside = float(np.linalg.norm((cube - hand.position)[:2]))
        # Come down only above the cube and turned to it.
        high = max(ramp(aside, 0.008, 0.05), ramp(abs(turn), 0.15, 0.5))
        grasp = cube + np.array([0.0, 0.0, self.grasp_height])
        target = grasp + np.array([0.0, 0.0, 0.08 * high])
        placed = aside < 0.012 and abs(hand.position[2] - grasp[2]) < 0.012
        # Close only when well placed; move only with the cube held.
        held = ramp(self.HELD_WIDTH + 0.002 - hand.width, 0.0, 0.002) if placed else 0.0
        target[2] += 0.1 * held
        # Slowly at last: a policy that closes a step or two early has still the cube between its fingers.
        speed = self.speed * max(held, ramp(hand.position[2] - grasp[2], -0.03, 0.06))
        return reach(hand, target, turn * (1 - held), speed, CLOSE if placed else OPEN)


TASKS.register(
    Task(
        name="lift",
        title="Lift",
        environment_name="Lift",
        object_body="cube_main",
        make_expert=LiftExpert.draw,
        max_steps=200,
        laptop={"steps": 1600},
        elsewhere=0.5,
    )
)
