"""What scripted experts share: how to read the hand off an observation, and how to move it.

An expert is a function from one low-dim observation to an action. It keeps no clock and no memory of what it
did: each "phase" is read off the observation, and the actions change smoothly with it. A policy that sees two
observations can therefore learn it; a script that waits for a hidden counter could not be learned at all.
What differs from episode to episode (its fields: which way round, which grasp, which turn, how fast) is drawn
before the first step and soon shows in where the hand is and how it is turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddpm_edu.tasks.base import Observation

OPEN, CLOSE = -1.0, 1.0


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
    # scipy's differs in the last digits, and takes twice the time: a seed would give other demonstrations.
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
