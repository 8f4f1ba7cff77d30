"""Square: put the square nut onto its peg. One of robomimic's tasks; it needs more precision than Can."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddpm_edu.tasks.base import TASKS, Observation, Task
from ddpm_edu.tasks.scripted import CLOSE, OPEN, Hand, ramp, reach, rotation_of, wrap, yaw_of


@dataclass(frozen=True)
class SquareExpert:
    """Grasps the nut by its handle, turns it on the way, and lowers it over the square peg.

    Attributes:
        flip: the hand may grasp the handle in two ways, half a turn apart: 0 or 1.
        final_yaw: turn of the nut on its peg, radians; the ring is square, so there are four.
        grasp_offset: how far from the nut's centre the handle is grasped, metres.
        grasp_height: height of the finger tips above the nut's centre, metres.
        speed: longest translation per step.
    """

    PEG = np.array([0.23, 0.10])
    HELD_WIDTH = 0.0325  # the fingers' distance with the handle between them
    CARRY_HEIGHT = 1.0  # of the nut's centre: the peg ends at 0.95 m
    LOW = 0.84  # on the peg

    flip: int
    final_yaw: float
    grasp_offset: float
    grasp_height: float
    speed: float

    @classmethod
    def draw(cls, first: Observation, rng: np.random.Generator) -> SquareExpert:
        """An expert for one episode: each way to grasp and to turn is likelier the less the hand has to
        turn for it."""
        nut_yaw = yaw_of(first["object"][3:7])
        choices, costs = [], []
        for flip in (0, 1):
            grasp = wrap(nut_yaw + flip * np.pi)
            for quarter in (1, 2, 3):  # 0 would put the hand beyond the peg, out of the arm's reach
                turn = wrap(quarter * np.pi / 2 - nut_yaw)
                if abs(grasp) < 2.0 and abs(grasp + turn) < 2.0:
                    choices.append((flip, quarter * np.pi / 2))
                    costs.append(abs(grasp) + abs(turn))
        likelihood = np.exp(-(np.array(costs) - min(costs)) / 0.35)
        flip, final_yaw = choices[rng.choice(len(choices), p=likelihood / likelihood.sum())]
        return cls(
            flip=flip,
            final_yaw=wrap(final_yaw),
            grasp_offset=float(rng.uniform(0.052, 0.064)),
            grasp_height=float(rng.uniform(0.0, 0.004)),
            speed=float(rng.uniform(0.85, 1.0)),
        )

    def __call__(self, observation: Observation) -> np.ndarray:
        hand = Hand.of(observation)
        nut = observation["object"][:3].astype(np.float64)
        rotation = rotation_of(observation["object"][3:7])
        nut_yaw = yaw_of(observation["object"][3:7])
        handle = nut + rotation @ np.array([self.grasp_offset, 0.0, 0.0])
        offset = handle - hand.position
        aside = float(np.linalg.norm(offset[:2]))
        # Not the shorter way: the wrist cannot turn through the back.
        grasp_turn = wrap(nut_yaw + self.flip * np.pi) - hand.yaw
        in_fingers = aside < 0.025 and abs(offset[2]) < 0.025 and hand.width < self.HELD_WIDTH + 0.002
        if in_fingers:
            return self._carry(hand, nut, nut_yaw, hand.width)
        # Come down only above the handle and turned to it.
        high = max(ramp(aside, 0.006, 0.05), ramp(abs(grasp_turn), 0.08, 0.4))
        target = handle + np.array([0.0, 0.0, self.grasp_height + 0.08 * high])
        placed = aside < 0.012 and abs(grasp_turn) < 0.15 and abs(hand.position[2] - target[2]) < 0.01
        return reach(hand, target, grasp_turn, self.speed, CLOSE if placed else OPEN)

    def _carry(self, hand: Hand, nut: np.ndarray, nut_yaw: float, width: float) -> np.ndarray:
        turn = wrap(self.final_yaw - nut_yaw)
        aside = float(np.linalg.norm(self.PEG - nut[:2]))
        astray = max(ramp(aside, 0.004, 0.012), ramp(abs(turn), 0.08, 0.25))
        # Around the peg the nut can go nowhere else; to rise again because it rubs would jam it.
        around = ramp(aside, 0.020, 0.015) * ramp(nut[2], 0.950, 0.940)
        astray *= 1 - around
        height = self.LOW + (self.CARRY_HEIGHT - self.LOW) * astray
        forth = np.array([*self.PEG, height]) - nut
        lifted = ramp(nut[2], 0.86, 0.95)
        forth[:2] *= lifted if aside > 0.02 else 1.0
        held = ramp(self.HELD_WIDTH + 0.002 - width, 0.0, 0.0015)
        return reach(hand, hand.position + held * forth, held * lifted * turn, self.speed, CLOSE)


TASKS.register(
    Task(
        name="square",
        title="Square",
        environment_name="NutAssemblySquare",
        object_body="SquareNut_main",
        make_expert=SquareExpert.draw,
        shipped=("low_dim", "image"),
    )
)
