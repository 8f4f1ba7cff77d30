"""Draws paths of the hand over a camera's picture: points in the world become pixels through the camera.

A camera at position c with the rotation R (columns: right, up, backward) sees a point p at R^T (p - c). What
lies twice as far away looks half as large, so right and up are divided by the distance ahead. The focal
length in pixels follows from the vertical field of view: f = height / 2 / tan(fovy / 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.errors import ConfigError
from ddpm_edu.viz.style import LINES


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; `Camera(*env.camera_pose("agentview"), height, width)`.

    Attributes:
        position: (3,) in the world, metres.
        rotation: (3, 3); its columns are right, up and backward in the world, as MuJoCo has them.
        fovy: vertical field of view in degrees.
        height: of its pictures, in pixels.
        width: of its pictures, in pixels.
    """

    position: np.ndarray
    rotation: np.ndarray
    fovy: float
    height: int
    width: int

    def project(self, points: ArrayLike) -> np.ndarray:
        """Pixels (..., 2), column and row from the upper left, of points (..., 3) in the world.

        Pixel centres are whole numbers, as in `imshow`. Points behind the camera are not-a-number.

        Raises:
            ConfigError: if the last axis has not 3 entries.
        """
        points = np.asarray(points, dtype=np.float64)
        if points.ndim == 0 or points.shape[-1] != 3:
            raise ConfigError(f"points have shape {points.shape}; the last axis must have 3 entries: x, y, z")
        right, up, backward = np.moveaxis((points - self.position) @ self.rotation, -1, 0)
        ahead = np.where(backward < 0, -backward, np.nan)
        focal = self.height / 2 / np.tan(np.deg2rad(self.fovy) / 2)
        column = (self.width - 1) / 2 + focal * right / ahead
        row = (self.height - 1) / 2 - focal * up / ahead
        return np.stack([column, row], axis=-1)  # (..., 2)


def hand_path(start: ArrayLike, action: ArrayLike, metres_per_unit: float) -> np.ndarray:
    """About where delta actions lead the hand: its start, and then each step's part added up.

    An approximation: the arm follows its goals late, and this takes one number for how far it gets.

    Args:
        start: (3,) the hand's position, metres.
        action: (..., T, 7) delta actions.
        metres_per_unit: how far the hand goes in one step for an action of 1.

    Returns:
        (..., T + 1, 3) metres, the start first.
    """
    action = np.asarray(action, dtype=np.float64)
    moves = metres_per_unit * action[..., :3].clip(-1, 1)  # (..., T, 3)
    first = np.zeros_like(moves[..., :1, :])
    return np.asarray(start) + np.concatenate([first, moves], axis=-2).cumsum(axis=-2)


def draw_paths(
    figure: Figure, image: np.ndarray, camera: Camera, paths: Sequence[ArrayLike], title: str
) -> None:
    """Paths over a camera's picture; a square marks where they begin, circles where they end.

    Args:
        figure: empty, about 4 by 4.3 inches.
        image: uint8 (height, width, 3), of this camera.
        camera: it took the picture.
        paths: each (N, 3) metres.
        title: what the frame shows.
    """
    draw_view(figure.add_axes((0.02, 0.02, 0.96, 0.89)), image, camera, paths)
    figure.text(0.02, 0.955, title, fontsize=12, weight="bold", va="center")


def draw_view(axes: Axes, image: np.ndarray, camera: Camera, paths: Sequence[ArrayLike]) -> None:
    """`draw_paths` into axes that are there already, without a title."""
    axes.imshow(image)
    for path, line in zip(paths, [LINES[i % len(LINES)] for i in range(len(paths))], strict=True):
        pixels = camera.project(path)  # (N, 2)
        # a white edge: a thin dark line would be lost before a dark gripper
        axes.plot(*pixels.T, color="white", linewidth=6)
        axes.plot(*pixels.T, color=line.color, linewidth=3.4, linestyle=line.linestyle)
        axes.plot(*pixels[-1], color=line.color, marker="o", markeredgecolor="white", markersize=10)
        axes.plot(*pixels[0], color="white", marker="s", markeredgecolor="black", markersize=7)
    axes.set(xlim=(-0.5, camera.width - 0.5), ylim=(camera.height - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
