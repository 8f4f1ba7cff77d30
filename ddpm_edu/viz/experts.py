"""A picture of what the demonstrations have in common, and of where they differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.tasks.scripted import wrap, yaw_of
from ddpm_edu.viz.style import LINES, headline, house_style, new_figure

_HELD_WIDTH = 0.055  # below, the fingers have closed on something
_LIFTED = 0.02


def figure_of_experts(can: str | Path, square: str | Path, max_demonstrations: int = 200) -> Figure:
    """Shows that the same situation is solved in several ways, in both tasks.

    Left: the hand's way to the can from above, turned so that every way begins at the left and ends at the
    can; it bends to one side or the other. Middle and right: the turn of the square nut as it lies, against
    the turn of the hand that grasps it and against its turn on the peg; where several rows of points stand
    above one place, the same nut is handled in several ways.

    Args:
        can: demonstrations of Can, low-dim.
        square: demonstrations of Square, low-dim.
        max_demonstrations: at most so many of each file.

    Returns:
        The figure; save it with `figure.savefig`.

    Raises:
        DatasetError: if a file is missing or broken.
    """
    ways = _ways_to_can(Demonstrations.read(can, "can", max_demonstrations=max_demonstrations))
    turns = _turns_of_nut(Demonstrations.read(square, "square", max_demonstrations=max_demonstrations))
    with house_style():
        figure = new_figure(height=3.6, width=11.0)
        around, grasp, peg = figure.subplots(1, 3)
        _draw_ways(around, ways)
        _draw_turns(grasp, turns[:, 0], turns[:, 1], turns[:, 3])
        grasp.set_title("Square: the hand at the grasp")
        grasp.set_ylabel("turn of the hand")
        _draw_turns(peg, turns[:, 0], turns[:, 2], turns[:, 3])
        peg.set_title("Square: the nut on its peg")
        peg.set_ylabel("turn of the nut")
        peg.legend(loc="lower right", handletextpad=0.2, frameon=True, framealpha=0.9)
        left = sum(way[:, 1].mean() > 0 for way in ways)
        grasps = len(np.unique(turns[:, 3]))
        ends = len(np.unique(np.round(np.abs(turns[:, 2]) / 90) * np.sign(turns[:, 2]) % 4))
        headline(
            figure,
            f"Two ways round the can ({left} and {len(ways) - left} of {len(ways)}), "
            f"{grasps} grasps and {ends} turns of the nut ({len(turns)} demonstrations)",
        )
    return figure


def _ways_to_can(demonstrations: Demonstrations) -> list[np.ndarray]:
    """The hand's way from its start to the grasp, (N, 2) each, from (-1, 0) to the can in (0, 0)."""
    ways = []
    for rows in _episodes(demonstrations):
        hand = demonstrations.obs["robot0_eef_pos"][rows][:, :2]
        can = demonstrations.obs["object"][rows][0, :2]
        way = hand[: _first_grasp(demonstrations, rows)] - can  # (N, 2)
        angle = np.arctan2(-way[0, 1], -way[0, 0])
        c, s = np.cos(angle), np.sin(angle)
        ways.append(way @ np.array([[c, -s], [s, c]]) / np.linalg.norm(way[0]))
    return ways


def _turns_of_nut(demonstrations: Demonstrations) -> np.ndarray:
    """(demonstrations, 4): turn of the nut at first, of the hand at the grasp, of the nut at the end, and
    which way round the handle is held; the turns in degrees."""
    turns = []
    for rows in _episodes(demonstrations):
        nut = demonstrations.obs["object"][rows][:, 3:7]
        grasp = _first_grasp(demonstrations, rows)
        hand = yaw_of(demonstrations.obs["robot0_eef_quat"][rows][grasp])
        first, last = yaw_of(nut[0]), yaw_of(nut[-1])
        flipped = abs(wrap(hand - yaw_of(nut[grasp]))) > np.pi / 2
        turns.append([np.degrees(first), np.degrees(hand), np.degrees(last) % 360, flipped])
    turns = np.array(turns)
    turns[:, 2] = np.where(turns[:, 2] > 315, turns[:, 2] - 360, turns[:, 2])
    return turns


def _episodes(demonstrations: Demonstrations) -> list[slice]:
    ends = demonstrations.episode_ends.tolist()
    return [slice(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _first_grasp(demonstrations: Demonstrations, rows: slice) -> int:
    """The last step of an episode before the object is lifted."""
    height = demonstrations.obs["object"][rows][:, 2]
    width = np.diff(demonstrations.obs["robot0_gripper_qpos"][rows], axis=1)[:, 0] * -1
    lowest = np.minimum.accumulate(height)
    lifted = (height > lowest + _LIFTED) & (width < _HELD_WIDTH)
    return max(1, int(np.argmax(lifted)))


def _draw_ways(axes: Axes, ways: list[np.ndarray]) -> None:
    labels = {}
    for way in ways:
        line = LINES[0] if way[:, 1].mean() > 0 else LINES[1]
        drawn = axes.plot(
            way[:, 0], way[:, 1], color=line.color, linestyle=line.linestyle, linewidth=0.7, alpha=0.55
        )
        labels.setdefault("to the left" if line is LINES[0] else "to the right", drawn[0])
    axes.plot(0, 0, marker="o", color="black", markersize=9, markerfacecolor="white")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    axes.text(0.07, 0.0, "can", ha="left", va="center", bbox=box)
    axes.text(-1.05, 0.0, "start", ha="right", va="center", bbox=box)
    axes.set_title("Can: the hand's way there, from above")
    axes.set_xlabel("along the straight line (start: -1)")
    axes.set_ylabel("aside of it")
    limit = max(float(np.abs(way[:, 1]).max()) for way in ways) * 1.15
    axes.set_ylim(-limit, limit)
    axes.set_xlim(left=min(-1.35, min(float(way[:, 0].min()) for way in ways) - 0.05), right=0.35)
    handles = [labels[name] for name in sorted(labels)]
    legend = axes.legend(handles, sorted(labels), loc="lower right")
    for handle in legend.get_lines():
        handle.set(linewidth=1.8, alpha=1.0)


def _draw_turns(axes: Axes, first: np.ndarray, turn: np.ndarray, flipped: np.ndarray) -> None:
    for wanted, line, name in ((0, LINES[0], "handle one way round"), (1, LINES[1], "handle the other way")):
        chosen = flipped == wanted
        axes.plot(
            first[chosen], turn[chosen], linestyle="none", marker=line.marker, color=line.color,
            markerfacecolor=line.color if wanted == 0 else "white", markersize=4, label=name,
        )  # fmt: skip
    axes.set_xlabel("turn of the nut as it lies")
    axes.set_xticks(range(-180, 181, 90))
    low, high = np.floor((turn.min() - 30) / 90) * 90, np.ceil((turn.max() + 30) / 90) * 90
    axes.set_yticks(np.arange(low, high + 1, 90))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0f}°")
