"""Can: put the can into its bin. One of robomimic's tasks, and the course's main one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddpm_edu.tasks.base import TASKS, Observation, Task
from ddpm_edu.tasks.scripted import CLOSE, OPEN, Hand, ramp, reach, wrap


@dataclass(frozen=True)
class CanExpert:
    """Comes round the can, grasps it, carries it over the walls and lets it go in its bin.

    Attributes:
        side: +1 or -1: which way round the can the hand comes, and which way it is turned.
        yaw: turn of the hand at the grasp, radians.
        swing: how far the way round bends, radians from the straight line.
        grasp_height: height of the finger tips above the can's centre, metres.
        drop: (x, y) where the can is let go.
        speed: longest translation per step.
    """

    HELD_WIDTH = 0.0505  # the fingers' distance with the can between them
    CARRY_HEIGHT = 1.0  # of the can's centre: 4 cm of can clear the 0.9 m walls by 6 cm
    RELEASE_HEIGHT = 0.91

    side: int
    yaw: float
    swing: float
    grasp_height: float
    drop: tuple[float, float]
    speed: float

    @classmethod
    def draw(cls, first: Observation, rng: np.random.Generator) -> CanExpert:
        """An expert for one episode; what it sees first makes no difference here."""
        side = int(rng.choice([-1, 1]))
        return cls(
            side=side,
            yaw=side * float(rng.uniform(0.5, 0.9)),
            swing=float(rng.uniform(0.5, 0.8)),
            grasp_height=float(rng.uniform(0.0, 0.012)),
            drop=(float(rng.uniform(0.155, 0.19)), float(rng.uniform(0.335, 0.37))),
            speed=float(rng.uniform(0.85, 1.0)),
        )

    def __call__(self, observation: Observation) -> np.ndarray:
        hand = Hand.of(observation)
        can = observation["object"][:3].astype(np.float64)
        offset = can - hand.position
        aside = float(np.linalg.norm(offset[:2]))
        over_drop = float(np.linalg.norm(can[:2] - self.drop))
        in_fingers = aside < 0.02 and abs(offset[2]) < 0.03
        if over_drop < 0.05 and can[2] < self.RELEASE_HEIGHT + 0.015:
            # Let go. The drop is where the arm is nearly straight, so the hand rises and draws back a little.
            target = hand.position + np.array([0.0, 0.0, 0.01 if in_fingers else 0.05])
            return reach(hand, target, wrap(self.yaw - hand.yaw), self.speed, OPEN)
        if not in_fingers:
            return self._approach(hand, can, offset, aside)
        return self._carry(hand, can, offset, aside, over_drop)

    def _approach(self, hand: Hand, can: np.ndarray, offset: np.ndarray, aside: float) -> np.ndarray:
        # A spiral: away from the straight line while far, onto it when near.
        bend = self.side * self.swing * ramp(aside, 0.03, 0.15)
        c, s = np.cos(bend), np.sin(bend)
        target = hand.position.copy()
        target[:2] += np.array([[c, -s], [s, c]]) @ offset[:2]
        target[2] = can[2] + self.grasp_height + 0.10 * ramp(aside, 0.008, 0.06)
        return reach(hand, target, wrap(self.yaw - hand.yaw), self.speed, OPEN)

    def _carry(
        self, hand: Hand, can: np.ndarray, offset: np.ndarray, aside: float, over_drop: float
    ) -> np.ndarray:
        grasp = can + np.array([0.0, 0.0, self.grasp_height])
        # Close only when well placed; move only with the can held.
        placed = aside < 0.012 and abs(grasp[2] - hand.position[2]) < 0.012
        held = ramp(self.HELD_WIDTH + 0.002 - hand.width, 0.0, 0.002)
        if hand.width > self.HELD_WIDTH + 0.002 and not placed:
            target = grasp
            return reach(hand, target, wrap(self.yaw - hand.yaw), self.speed, OPEN)
        height = self.RELEASE_HEIGHT + (self.CARRY_HEIGHT - self.RELEASE_HEIGHT) * ramp(over_drop, 0.02, 0.06)
        forth = np.array([*self.drop, height]) - can
        forth[:2] *= ramp(can[2], 0.89, 0.97) if over_drop > 0.06 else 1.0
        target = held * (hand.position + forth) + (1 - held) * grasp
        return reach(hand, target, wrap(self.yaw - hand.yaw), self.speed, CLOSE)


TASKS.register(
    Task(
        name="can",
        title="Can",
        environment_name="PickPlaceCan",
        object_body="Can_main",
        make_expert=CanExpert.draw,
        shipped=("low_dim", "image"),
    )
)
