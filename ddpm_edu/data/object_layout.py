"""The orders of the numbers in `obs`, which differ between files, brought to the task's.

    object, robosuite to 1.4, ours    object in the world (3 + 4), then seen from the hand (3 + 4)
    object, robosuite 1.5             seen from the hand first, then in the world
    quaternions, robosuite            x y z w; a file of one's own may have w x y z

A policy that learned from one order and acts on the other fails without an error. 1.5 also computes the part
seen from the hand before it knows where the hand is: that part lags by one step, and begins with zeros
(`robosuite/environments/manipulation/pick_place.py`, `_setup_observables`). It is computed anew here, from
the object in the world and the hand, as `ddpm_edu.simulation.sensors` does.

The three poses are bound to each other: R(hand)^T R(object) is the rotation that is stored as seen from the
hand, to 4e-5 degrees in our files; with the hand's w first it is 113 to 180 degrees off. So each order is
found out. Where there is no object, the first step tells: an episode begins with the hand pointing down, at
(x, y, z, w) close to (1, 0, 0, 0).

q and -q are one rotation, and two inputs for a policy. The simulator's hand begins with x > 0 (0.99 in all
shipped demonstrations) and goes on without a jump.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ddpm_edu.errors import DatasetError

_CLOSE, _ALIGNED = 0.05, 20.0
"""Metres and degrees. A hand moves less than that in the one step by which 1.5 lags; wrong orders are off by
0.5 and 100."""

HAND_FIRST = (
    "object is in the order of robosuite 1.5, seen from the hand first and one step late: reordered, "
    "the part seen from the hand computed anew"
)
HAND_W_FIRST = "robot0_eef_quat has w first (w x y z): reordered to x y z w"
OBJECT_W_FIRST = "the quaternions of object have w first (w x y z): reordered to x y z w"
SCENES = "scenes"
"""Attribute of a demonstration whose steps do not follow each other, and of their file: what they were made
from. See `ddpm_edu.simulation.scenes`."""
SIGN = "robot0_eef_quat has the other sign than the simulator's, -q for q: turned"


class _Layout(NamedTuple):
    hand_first: bool
    hand_w_first: bool
    object_w_first: bool


def to_task(
    where: str, obs: Mapping[str, np.ndarray], moving: bool = True
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Brings one demonstration's `robot0_eef_quat` and `object` into the task's order and sign.

    Args:
        where: file and demonstration, for the message.
        obs: `robot0_eef_pos` (N, 3), `robot0_eef_quat` (N, 4), and `object` (N, 14) if there is one.
        moving: whether each step follows the one before; without that, signs stay as they are.

    Returns:
        What has changed, by its key, and what was wrong, each in a line.

    Raises:
        DatasetError: if no order of the numbers makes hand and object fit together.
    """
    pos, quat = (obs[f"robot0_eef_{name}"].astype(np.float64) for name in ("pos", "quat"))  # (N, 3), (N, 4)
    changed, found = {}, []
    if "object" in obs:
        object = obs["object"].astype(np.float64)  # (N, 14)
        layout = _layout(where, object, pos, quat)
        hand_w_first = layout.hand_w_first
        if layout.object_w_first:
            found.append(OBJECT_W_FIRST)
            object = _object_w_last(object)
    else:
        # x is 1 and w 0 at the start: the first number is 0 where w is first
        layout, hand_w_first = None, abs(quat[0, 0]) < 0.3 and abs(quat[0, 1]) > 0.7
    if hand_w_first:
        found.append(HAND_W_FIRST)
        quat = np.roll(quat, -1, axis=-1)
    signs = np.cumprod(np.where((quat[1:] * quat[:-1]).sum(-1) < 0, -1.0, 1.0))  # (N - 1,)
    signs = np.concatenate([[1.0], signs]) * (-1.0 if quat[0, 0] < 0 else 1.0)  # (N,)
    if moving and (signs < 0).any():
        found.append(SIGN)
        quat = quat * signs[:, None]
    if layout is not None and layout.hand_first:
        found.append(HAND_FIRST)
        world = object[:, 7:]
        object = np.concatenate([world, seen_from_hand(world, pos, quat)], axis=-1)
    if hand_w_first or SIGN in found:
        changed["robot0_eef_quat"] = quat
    if OBJECT_W_FIRST in found or HAND_FIRST in found:
        changed["object"] = object
    return changed, tuple(found)


@np.errstate(invalid="ignore", over="ignore")  # what is not finite is refused by name, elsewhere
def seen_from_hand(world: np.ndarray, eef_pos: np.ndarray, eef_quat: np.ndarray) -> np.ndarray:
    """Poses in the world (N, 7), seen from the hand (N, 7): position 3, quaternion x y z w with w >= 0."""
    place = _turned_back(world[:, :3] - eef_pos, eef_quat)  # (N, 3)
    turn = _times(_conjugate(eef_quat), world[:, 3:])  # (N, 4)
    turn = turn / np.linalg.norm(turn, axis=-1, keepdims=True)
    return np.concatenate([place, np.where(turn[:, 3:] < 0, -turn, turn)], axis=-1)


@np.errstate(invalid="ignore", over="ignore")
def _layout(where: str, object: np.ndarray, pos: np.ndarray, quat: np.ndarray) -> _Layout:
    misfits = {}
    for layout in map(_Layout._make, itertools.product((False, True), repeat=3)):
        far, turned = _misfit(layout, object, pos, quat)
        misfits[layout] = (far / _CLOSE + turned / _ALIGNED, far, turned)
        if far < _CLOSE / 50 and turned < _ALIGNED / 50:
            return layout  # beyond doubt
    best = min(misfits, key=lambda layout: misfits[layout][0])
    _, far, turned = misfits[best]
    if far <= _CLOSE and turned <= _ALIGNED:
        return best
    _, far, turned = misfits[_Layout(False, False, False)]
    raise DatasetError(
        f"{where}/obs/object does not fit robot0_eef_pos and robot0_eef_quat: what is seen from the hand is "
        f"off by {far:.2g} m and {turned:.0f} degrees, and no order of the numbers mends it: object is the "
        "position and quaternion x y z w in the world, then both seen from the hand; collect it again"
    )


def _misfit(layout: _Layout, object: np.ndarray, pos: np.ndarray, quat: np.ndarray) -> tuple[float, float]:
    """Medians, in metres and degrees, of what is stored as seen from the hand against what would be."""
    if layout.object_w_first:
        object = _object_w_last(object)
    if layout.hand_w_first:
        quat = np.roll(quat, -1, axis=-1)
    world, seen = object[:, :7], object[:, 7:]
    if layout.hand_first:
        world, seen = seen, world
    known = seen.any(axis=-1) & world[:, 3:].any(axis=-1) & seen[:, 3:].any(axis=-1)  # 1.5 begins with zeros
    if not known.any():
        return float("inf"), float("inf")
    world, seen = world[known], seen[known]
    expected = seen_from_hand(world, pos[known], quat[known])
    far = np.linalg.norm(expected[:, :3] - seen[:, :3], axis=-1)  # metres
    between = _times(_conjugate(expected[:, 3:]), seen[:, 3:])
    angle = 2 * np.arctan2(np.linalg.norm(between[:, :3], axis=-1), np.abs(between[:, 3]))
    return float(np.median(far)), float(np.degrees(np.median(angle)))


def _object_w_last(object: np.ndarray) -> np.ndarray:
    return object[:, [0, 1, 2, 4, 5, 6, 3, 7, 8, 9, 11, 12, 13, 10]]


# By hand, and not by scipy's Rotation: that refuses a quaternion of zeros, with which the files of 1.5 begin.


def _conjugate(quaternion: np.ndarray) -> np.ndarray:
    return quaternion * [-1, -1, -1, 1]


def _times(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of quaternions (N, 4), x y z w."""
    u, v, a, b = left[:, :3], right[:, :3], left[:, 3:], right[:, 3:]
    return np.concatenate([a * v + b * u + np.cross(u, v), a * b - (u * v).sum(-1, keepdims=True)], axis=-1)


def _turned_back(vectors: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Vectors (N, 3) in the frames of quaternions (N, 4): v - 2 w (u x v) + 2 u x (u x v)."""
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    axis, w = quaternion[:, :3], quaternion[:, 3:]
    across = np.cross(axis, vectors)
    return vectors - 2 * w * across + 2 * np.cross(axis, across)
