"""Scripted experts that solve Can and Square, for demonstrations.

An expert is a function from one low-dim observation to an action. It keeps no clock and no memory of what it
did: each "phase" is read off the observation, and the actions change smoothly with it. A policy that sees two
observations can therefore learn it; a script that waits for a hidden counter could not be learned at all.
What differs from episode to episode (`style`: which way round, which grasp, which turn, how fast) is drawn
before the first step and soon shows in where the hand is and how it is turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ddpm_edu.tasks import CAN, SQUARE, Task, get_task

OPEN, CLOSE = -1.0, 1.0

Observation = dict[str, np.ndarray]


class Expert(Protocol):
    """Maps one low-dim observation to an action (Da,) in [-1, 1]."""

    def __call__(self, observation: Observation) -> np.ndarray: ...


def make_expert(task: str | Task, first: Observation, rng: np.random.Generator) -> CanExpert | SquareExpert:
    """An expert for one episode, with a style of its own.

    Args:
        task: "can" or "square".
        first: the episode's first low-dim observation.
        rng: where the style comes from.
    """
    task = get_task(task)
    if task == CAN:
        return CanExpert(CanStyle.draw(rng))
    if task == SQUARE:
        return SquareExpert(SquareStyle.draw(rng, yaw_of(first["object"][3:7])))
    raise NotImplementedError(f"there is no expert for {task.name}")


# ---------------------------------------------------------------------- what the experts share


@dataclass(frozen=True)
class Hand:
    """What an observation says about the hand.

    Attributes:
        position: (3,) of the point between the finger tips, metres.
        rotation: (3, 3), the hand's axes as columns; the fingers point along z and close along y.
        width: distance between the finger tips, metres.
    """

    position: np.ndarray
    rotation: np.ndarray
    width: float

    @classmethod
    def of(cls, observation: Observation) -> Hand:
        left, right = observation["robot0_gripper_qpos"]
        return cls(
            observation["robot0_eef_pos"].astype(np.float64),
            rotation_of(observation["robot0_eef_quat"]),
            float(left - right),
        )

    @property
    def yaw(self) -> float:
        """Turn about the vertical, radians; 0 as the arm starts."""
        return float(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))


def rotation_of(quaternion: np.ndarray) -> np.ndarray:
    """(3, 3) rotation of a quaternion (x, y, z, w)."""
    x, y, z, w = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def yaw_of(quaternion: np.ndarray) -> float:
    """Turn about the vertical, radians, of a quaternion (x, y, z, w)."""
    rotation = rotation_of(quaternion)
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def wrap(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def ramp(x: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, straight between."""
    return float(np.clip((x - low) / (high - low), 0.0, 1.0))


def reach(hand: Hand, target: np.ndarray, yaw_error: float, speed: float, gripper: float) -> np.ndarray:
    """The action that moves the hand towards a target pose, hand pointing down.

    The step is proportional to the distance and limited in length, not per axis, so that far movements are
    straight. An action of 1 carries the hand about 1.3 cm, because the controller needs longer than one step.

    Args:
        hand: the hand now.
        target: (3,) position to reach, metres.
        yaw_error: turn still to be made about the vertical, radians.
        speed: longest translation, as a fraction of the largest action.
        gripper: the gripper's entry of the action.
    """
    move = (target - hand.position) / 0.05 * 1.1
    move *= min(1.0, speed / max(np.linalg.norm(move), 1e-9))
    # Smallest rotation that makes the fingers' axis vertical again, plus the turn about the vertical.
    tilt = np.cross(hand.rotation[:, 2], [0.0, 0.0, -1.0])
    turn = tilt + np.array([0.0, 0.0, yaw_error])
    turn *= 0.9 / 0.5
    turn *= min(1.0, 0.5 / max(np.linalg.norm(turn), 1e-9))
    return np.clip(np.concatenate([move, turn, [gripper]]), -1.0, 1.0)


# ---------------------------------------------------------------------- Can


@dataclass(frozen=True)
class CanStyle:
    """How one episode of Can is done.

    Attributes:
        side: +1 or -1: which way round the can the hand comes, and which way it is turned.
        yaw: turn of the hand at the grasp, radians.
        swing: how far the way round bends, radians from the straight line.
        grasp_height: height of the finger tips above the can's centre, metres.
        drop: (x, y) where the can is let go.
        speed: longest translation per step.
    """

    side: int
    yaw: float
    swing: float
    grasp_height: float
    drop: tuple[float, float]
    speed: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> CanStyle:
        side = int(rng.choice([-1, 1]))
        return cls(
            side=side,
            yaw=side * float(rng.uniform(0.5, 0.9)),
            swing=float(rng.uniform(0.5, 0.8)),
            grasp_height=float(rng.uniform(0.0, 0.012)),
            drop=(float(rng.uniform(0.155, 0.19)), float(rng.uniform(0.335, 0.37))),
            speed=float(rng.uniform(0.85, 1.0)),
        )


class CanExpert:
    """Comes round the can, grasps it, carries it over the walls and lets it go in its bin."""

    HELD_WIDTH = 0.0505  # the fingers' distance with the can between them
    CARRY_HEIGHT = 1.0  # of the can's centre: 4 cm of can clear the 0.9 m walls by 6 cm
    RELEASE_HEIGHT = 0.91

    def __init__(self, style: CanStyle) -> None:
        self.style = style

    def __call__(self, observation: Observation) -> np.ndarray:
        hand = Hand.of(observation)
        can = observation["object"][:3].astype(np.float64)
        offset = can - hand.position
        aside = float(np.linalg.norm(offset[:2]))
        over_drop = float(np.linalg.norm(can[:2] - self.style.drop))
        in_fingers = aside < 0.02 and abs(offset[2]) < 0.03
        if over_drop < 0.05 and can[2] < self.RELEASE_HEIGHT + 0.015:
            # Let go. The drop is where the arm is nearly straight, so the hand rises and draws back a little.
            target = hand.position + np.array([0.0, 0.0, 0.01 if in_fingers else 0.05])
            return reach(hand, target, wrap(self.style.yaw - hand.yaw), self.style.speed, OPEN)
        if not in_fingers:
            return self._approach(hand, can, offset, aside)
        return self._carry(hand, can, offset, aside, over_drop)

    def _approach(self, hand: Hand, can: np.ndarray, offset: np.ndarray, aside: float) -> np.ndarray:
        # A spiral: away from the straight line while far, onto it when near.
        bend = self.style.side * self.style.swing * ramp(aside, 0.03, 0.15)
        c, s = np.cos(bend), np.sin(bend)
        target = hand.position.copy()
        target[:2] += np.array([[c, -s], [s, c]]) @ offset[:2]
        target[2] = can[2] + self.style.grasp_height + 0.10 * ramp(aside, 0.008, 0.06)
        return reach(hand, target, wrap(self.style.yaw - hand.yaw), self.style.speed, OPEN)

    def _carry(
        self, hand: Hand, can: np.ndarray, offset: np.ndarray, aside: float, over_drop: float
    ) -> np.ndarray:
        grasp = can + np.array([0.0, 0.0, self.style.grasp_height])
        # Close only when well placed; move only with the can held.
        placed = aside < 0.012 and abs(grasp[2] - hand.position[2]) < 0.012
        held = ramp(self.HELD_WIDTH + 0.002 - hand.width, 0.0, 0.002)
        if hand.width > self.HELD_WIDTH + 0.002 and not placed:
            target = grasp
            return reach(hand, target, wrap(self.style.yaw - hand.yaw), self.style.speed, OPEN)
        height = self.RELEASE_HEIGHT + (self.CARRY_HEIGHT - self.RELEASE_HEIGHT) * ramp(over_drop, 0.02, 0.06)
        forth = np.array([*self.style.drop, height]) - can
        forth[:2] *= ramp(can[2], 0.89, 0.97) if over_drop > 0.06 else 1.0
        target = held * (hand.position + forth) + (1 - held) * grasp
        return reach(hand, target, wrap(self.style.yaw - hand.yaw), self.style.speed, CLOSE)


# ---------------------------------------------------------------------- Square


@dataclass(frozen=True)
class SquareStyle:
    """How one episode of Square is done.

    Attributes:
        flip: the hand may grasp the handle in two ways, half a turn apart: 0 or 1.
        final_yaw: turn of the nut on its peg, radians; the ring is square, so there are four.
        grasp_offset: how far from the nut's centre the handle is grasped, metres.
        grasp_height: height of the finger tips above the nut's centre, metres.
        speed: longest translation per step.
    """

    flip: int
    final_yaw: float
    grasp_offset: float
    grasp_height: float
    speed: float

    @classmethod
    def draw(cls, rng: np.random.Generator, nut_yaw: float) -> SquareStyle:
        """Draws a style: each way to grasp and to turn is likelier the less the hand has to turn for it.

        Args:
            rng: where the choice comes from.
            nut_yaw: turn of the nut as it lies, radians.
        """
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


class SquareExpert:
    """Grasps the nut by its handle, turns it on the way, and lowers it over the square peg."""

    PEG = np.array([0.23, 0.10])
    HELD_WIDTH = 0.0325  # the fingers' distance with the handle between them
    CARRY_HEIGHT = 1.0  # of the nut's centre: the peg ends at 0.95 m
    LOW = 0.84  # on the peg

    def __init__(self, style: SquareStyle) -> None:
        self.style = style

    def __call__(self, observation: Observation) -> np.ndarray:
        hand = Hand.of(observation)
        nut = observation["object"][:3].astype(np.float64)
        rotation = rotation_of(observation["object"][3:7])
        nut_yaw = yaw_of(observation["object"][3:7])
        handle = nut + rotation @ np.array([self.style.grasp_offset, 0.0, 0.0])
        offset = handle - hand.position
        aside = float(np.linalg.norm(offset[:2]))
        # Not the shorter way: the wrist cannot turn through the back.
        grasp_turn = wrap(nut_yaw + self.style.flip * np.pi) - hand.yaw
        in_fingers = aside < 0.025 and abs(offset[2]) < 0.025 and hand.width < self.HELD_WIDTH + 0.002
        if in_fingers:
            return self._carry(hand, nut, nut_yaw, hand.width)
        # Come down only above the handle and turned to it.
        high = max(ramp(aside, 0.006, 0.05), ramp(abs(grasp_turn), 0.08, 0.4))
        target = handle + np.array([0.0, 0.0, self.style.grasp_height + 0.08 * high])
        placed = aside < 0.012 and abs(grasp_turn) < 0.15 and abs(hand.position[2] - target[2]) < 0.01
        return reach(hand, target, grasp_turn, self.style.speed, CLOSE if placed else OPEN)

    def _carry(self, hand: Hand, nut: np.ndarray, nut_yaw: float, width: float) -> np.ndarray:
        turn = wrap(self.style.final_yaw - nut_yaw)
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
        return reach(hand, hand.position + held * forth, held * lifted * turn, self.style.speed, CLOSE)
