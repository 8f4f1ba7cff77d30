"""The order of the 14 numbers of `obs/object`, which differs between robomimic's published files.

    robosuite to 1.4, and ours    object in the world (3 + 4), then seen from the hand (3 + 4)
    robosuite 1.5                 seen from the hand first, then in the world

A policy that learned from one order and acts on the other fails without an error. 1.5 also computes the part
seen from the hand before it knows where the hand is: that part lags by one step, and begins with zeros
(`robosuite/environments/manipulation/pick_place.py`, `_setup_observables`). It is computed anew here, from
the object in the world and the hand, as `ddpm_edu.simulation.sensors` does.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

ObjectOrder = Literal["world first", "hand first", "unknown"]
_CLOSE = 0.05
"""Metres. A hand moves less than that in the one step by which 1.5 lags; the wrong order is off by 0.5."""


def object_order(object: np.ndarray, eef_pos: np.ndarray, eef_quat: np.ndarray) -> ObjectOrder:
    """Which order explains the numbers, from R^T (object - hand) being what is seen from the hand.

    Args:
        object: (N, 14).
        eef_pos: (N, 3) the hand's position in the world, metres.
        eef_quat: (N, 4) its rotation, x y z w.
    """
    first, second = object[:, :3], object[:, 7:10]
    world_first = _misfit(first, second, eef_pos, eef_quat)
    hand_first = _misfit(second, first, eef_pos, eef_quat)
    if min(world_first, hand_first) > _CLOSE:
        return "unknown"
    return "world first" if world_first <= hand_first else "hand first"


def to_world_first(object: np.ndarray, eef_pos: np.ndarray, eef_quat: np.ndarray) -> np.ndarray:
    """Brings 1.5's order (N, 14) into the task's; what is seen from the hand is computed, without lag."""
    import torch

    from ddpm_edu.data.actions import matrix_to_quaternion, quaternion_to_matrix

    world = object[:, 7:]  # (N, 7)
    place, turn, hand, hand_turn = (
        torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
        for values in (world[:, :3], world[:, 3:], eef_pos, eef_quat)
    )
    to_hand = quaternion_to_matrix(hand_turn).mT  # (N, 3, 3)
    seen_place = (to_hand @ (place - hand)[..., None]).squeeze(-1)  # (N, 3)
    seen_turn = matrix_to_quaternion(to_hand @ quaternion_to_matrix(turn))  # (N, 4)
    return np.concatenate([world, seen_place.numpy(), seen_turn.numpy()], axis=-1).astype(object.dtype)


def _misfit(place: np.ndarray, seen: np.ndarray, eef_pos: np.ndarray, eef_quat: np.ndarray) -> float:
    """Median distance of what is seen from the hand to what would be, metres; rows of zeros left out."""
    known = seen.any(axis=-1) & eef_quat.any(axis=-1)  # (N,)
    if not known.any():
        return float("inf")
    expected = _turned_back((place - eef_pos)[known], eef_quat[known])
    return float(np.median(np.linalg.norm(expected - seen[known], axis=-1)))


def _turned_back(vectors: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Vectors (N, 3) in the frames of quaternions (N, 4): v - 2 w (u x v) + 2 u x (u x v)."""
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    axis, w = quaternion[:, :3], quaternion[:, 3:]
    across = np.cross(axis, vectors)
    return vectors - 2 * w * across + 2 * np.cross(axis, across)
