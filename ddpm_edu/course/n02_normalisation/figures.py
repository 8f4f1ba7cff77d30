"""Pictures of sizes and of rotations: why numbers are scaled, and why a rotation gets six of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure

_SIX = ("r11", "r12", "r13", "r21", "r22", "r23")


def plot_ranges(ranges: Mapping[str, tuple[float, float]], text: str) -> Figure:
    """From where to where each entry goes, with the noise's own size behind.

    Args:
        ranges: {name of the entry: (lowest, highest)}.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(0.9 + 0.27 * len(ranges))
        axes = figure.subplots()
        axes.axvspan(-1, 1, color=PALE)
        for row, (low, high) in enumerate(ranges.values()):
            axes.plot([low, high], [row, row], color=LINES[0].color, linewidth=5, solid_capstyle="butt")
            axes.plot([low, high], [row, row], color=LINES[0].color, marker="|", linestyle="", markersize=9)
        axes.set(yticks=range(len(ranges)), ylim=(len(ranges) - 0.4, -0.6))
        axes.set_yticklabels(ranges)
        axes.set(xlabel="value in the file (metres, quaternion entries); pale: -1 to 1", xlim=(-1.15, 1.3))
        axes.grid(visible=False)
        headline(figure, text)
    return figure


def plot_turn(angles: ArrayLike, quaternions: ArrayLike, six: ArrayLike, text: str) -> Figure:
    """The numbers that name a rotation, over one full turn: four that jump, six that do not.

    Args:
        angles: (N,) degrees.
        quaternions: (N, 4), x y z w.
        six: (N, 6).
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.0)
        for axes, values, names, places, title in zip(
            figure.subplots(1, 2, sharey=True),
            (np.asarray(quaternions)[:, 2:], np.asarray(six)[:, [0, 1]]),
            (("z", "w"), _SIX[:2]),
            (((30, -9), (310, -16)), ((40, 8), (215, -14))),  # degrees, and points beside the line
            ("quaternion with w >= 0", "two of the six numbers"),
            strict=True,
        ):
            for column, (name, line, (at, beside)) in enumerate(zip(names, LINES, places, strict=False)):
                axes.plot(np.asarray(angles), values[:, column], color=line.color, linestyle=line.linestyle)
                place = int(np.abs(np.asarray(angles) - at).argmin())
                axes.annotate(
                    name,
                    (np.asarray(angles)[place], values[place, column]),
                    xytext=(8, beside),
                    textcoords="offset points",
                    color=line.color,
                )
            axes.set(title=title, xlabel="turn about z (degrees)", xticks=range(0, 361, 90))
        figure.axes[0].set_ylabel("value")
        headline(figure, text)
    return figure


def draw_turn(figure: Figure, angle: float, quaternion: Sequence[float], six: Sequence[float]) -> None:
    """A turned hand from above, and the numbers that say so.

    Args:
        figure: empty, about 7.4 by 2.9 inches.
        angle: turn about z in degrees.
        quaternion: x y z w, followed continuously.
        six: first two rows of the rotation matrix.
    """
    space = figure.add_axes((0.01, 0.1, 0.27, 0.72))
    turn = np.deg2rad(angle)
    for offset, line, name in ((0.0, LINES[0], "x"), (np.pi / 2, LINES[1], "y")):
        tip = np.cos(turn + offset), np.sin(turn + offset)
        space.annotate(
            "",
            tip,
            (0, 0),
            arrowprops={"arrowstyle": "->", "color": line.color, "linestyle": line.linestyle, "lw": 2},
        )
        space.text(1.18 * tip[0], 1.18 * tip[1], name, ha="center", va="center", color=line.color)
    space.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), xticks=[], yticks=[], aspect="equal")
    space.spines[:].set_visible(False)
    for left, width, values, names, title in (
        (0.36, 0.24, quaternion, "xyzw", "quaternion"),
        (0.68, 0.31, six, _SIX, "six numbers"),
    ):
        axes = figure.add_axes((left, 0.15, width, 0.64))
        axes.axhline(0, color=GRAY, linewidth=0.8)
        axes.bar(range(len(values)), values, color=LINES[0].color, width=0.7)
        axes.set(ylim=(-1.1, 1.1), yticks=(-1, 0, 1), xticks=range(len(values)), title=title)
        axes.set_xticklabels(names)
    figure.text(0.02, 0.93, f"turned by {angle:.0f} degrees", fontsize=12, weight="bold", color=INK)
