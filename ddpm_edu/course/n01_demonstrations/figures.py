"""Pictures of windows: what a policy sees, predicts and executes, and where a window looks over an edge."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure

_OBSERVED, _EXECUTED = LINES[1].color, LINES[0].color
_PAD_HATCH = "////"
_SHOWN_BEYOND = 12  # steps beyond the demonstration's edges that the widget shows


def plot_roles(horizon: int, n_obs_steps: int, n_action_steps: int, text: str) -> Figure:
    """One window and the roles of its steps: observed, predicted, executed.

    Args:
        horizon: T.
        n_obs_steps: To.
        n_action_steps: Ta.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(2.5)
        axes = figure.subplots()
        _draw_roles(axes, np.arange(horizon), np.zeros(horizon, bool), n_obs_steps, n_action_steps)
        axes.set_xlabel("index in the window")
        headline(figure, text)
    return figure


def draw_window(
    figure: Figure,
    height: ArrayLike,
    start: int,
    horizon: int,
    n_obs_steps: int,
    n_action_steps: int,
) -> None:
    """A window laid over a demonstration; steps over an edge are hatched and say which row they repeat.

    All limits are fixed for one demonstration, so that frames do not jump.

    Args:
        figure: empty, about 7.6 by 3.9 inches.
        height: (L,) one entry of the demonstration over time, in metres: what the window lies over.
        start: first step of the window; negative before the demonstration.
        horizon: T.
        n_obs_steps: To.
        n_action_steps: Ta.
    """
    height = np.asarray(height)
    length = len(height)
    steps = start + np.arange(horizon)  # (T,)
    now = start + n_obs_steps - 1

    over = figure.add_axes((0.13, 0.56, 0.85, 0.34))
    over.plot(np.arange(length), height, color=GRAY, linewidth=1.4)
    over.axvspan(start - 0.5, start + horizon - 0.5, color=PALE, linewidth=0)
    inside = (steps >= 0) & (steps < length)
    over.plot(steps[inside], height[steps[inside]], color=_EXECUTED, linestyle="", marker="o", markersize=3)
    edges = steps[~inside]
    over.plot(
        edges,
        height[edges.clip(0, length - 1)],
        linestyle="",
        marker="x",
        color=_OBSERVED,
        markersize=5,
    )
    over.axvline(now, color=INK, linewidth=1, linestyle="--")
    low, high = height.min(), height.max()
    over.set(xlim=(-_SHOWN_BEYOND, length - 1 + _SHOWN_BEYOND), ylim=(low - 0.04, high + 0.09))
    over.text(now, high + 0.075, "now", ha="center", va="top", fontsize=9.5, backgroundcolor="white")
    for edge in (-0.5, length - 0.5):
        over.axvline(edge, color=GRAY, linewidth=1)
    over.set(xlabel="step of the demonstration", ylabel="height (m)")
    over.grid(visible=False)

    below = figure.add_axes((0.13, 0.12, 0.85, 0.25))
    _draw_roles(below, steps.clip(0, length - 1), ~inside, n_obs_steps, n_action_steps)
    below.set_xlabel("row of the demonstration that each step of the window is; hatched: repeated")
    padded = int((~inside).sum())
    figure.text(
        0.02,
        0.945,
        f"window from step {start}: {padded} of {horizon} steps are padding",
        fontsize=12,
        weight="bold",
        va="center",
    )


def draw_decisions(
    figure: Figure, horizon: int, n_obs_steps: int, n_action_steps: int, episode: int = 48
) -> None:
    """A policy's decisions one below the other: each sees, predicts, and executes a part of it.

    Args:
        figure: empty, about 7.6 by 3.6 inches.
        horizon: T.
        n_obs_steps: To.
        n_action_steps: Ta.
        episode: control steps that are shown.
    """
    rows, fits = 8, n_obs_steps - 1 + n_action_steps <= horizon
    axes = figure.add_axes((0.1, 0.15, 0.88, 0.71))
    moments = np.arange(0, episode, n_action_steps)
    for row, now in enumerate(moments[:rows] if fits else []):
        first = now - (n_obs_steps - 1)
        axes.add_patch(Rectangle((first - 0.5, row - 0.32), horizon, 0.64, facecolor=PALE, edgecolor="none"))
        axes.add_patch(
            Rectangle((now - 0.5, row - 0.32), n_action_steps, 0.64, facecolor=_EXECUTED, edgecolor="white")
        )
        axes.add_patch(
            Rectangle(
                (first - 0.5, row - 0.32),
                n_obs_steps,
                0.64,
                facecolor="none",
                edgecolor=_OBSERVED,
                linewidth=2,
                hatch="..",
            )
        )
    decisions = -(-episode // n_action_steps)
    title = f"Ta = {n_action_steps}: {decisions} decisions in {episode} steps"
    if not fits:
        title = f"Ta = {n_action_steps}: impossible"
        axes.text(
            episode / 2,
            rows / 2 - 0.5,
            f"To - 1 + Ta = {n_obs_steps} - 1 + {n_action_steps} = {n_obs_steps - 1 + n_action_steps}\n"
            f"but only T = {horizon} are predicted",
            ha="center",
            va="center",
            fontsize=13,
        )
    elif decisions > rows:
        title = f"Ta = {n_action_steps}: {decisions} decisions, {rows} shown"
    axes.set(xlim=(-n_obs_steps - 0.5, episode + 0.5), ylim=(rows - 0.4, -0.6), yticks=range(rows))
    axes.set_yticklabels(range(1, rows + 1))
    axes.set(xlabel="control step of the episode (50 ms each)", ylabel="decision")
    axes.grid(visible=False)
    figure.text(0.02, 0.94, title, fontsize=12, weight="bold", va="center")
    figure.text(
        0.98,
        0.94,
        "dotted: observed   dark: executed   pale: thrown away",
        fontsize=9.5,
        ha="right",
        va="center",
        color=GRAY,
    )


def plot_seam(position: ArrayLike, seam: int, text: str) -> Figure:
    """One coordinate around the row where one demonstration ends and the next begins.

    Args:
        position: (N,) metres, rows of the file around the seam.
        seam: index in `position` of the next demonstration's first row.
        text: what the figure says.
    """
    position = np.asarray(position)
    with house_style():
        figure = new_figure(2.7)
        axes = figure.subplots()
        line, other = LINES[0], LINES[1]
        rows = np.arange(len(position))
        axes.plot(rows[:seam], position[:seam], color=line.color, marker=line.marker)
        axes.plot(rows[seam:], position[seam:], color=other.color, marker=other.marker, linestyle="--")
        axes.axvline(seam - 0.5, color=GRAY, linewidth=1)
        axes.annotate("one ends", (1, position[1]), xytext=(0, 9), textcoords="offset points")
        axes.annotate(
            "the next begins",
            (len(position) - 2, position[-2]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="right",
        )
        axes.margins(y=0.25)
        axes.set(xlabel="row in the window", ylabel="y of the hand (m)", xticks=rows)
        headline(figure, text)
    return figure


def _draw_roles(
    axes: Axes, labels: np.ndarray, is_pad: np.ndarray, n_obs_steps: int, n_action_steps: int
) -> None:
    """Three rows of cells: which steps are observed, predicted and executed; padding is hatched."""
    horizon = len(labels)
    rows = (
        ("observed", range(n_obs_steps), _OBSERVED),
        ("predicted", range(horizon), GRAY),
        ("executed", range(n_obs_steps - 1, n_obs_steps - 1 + n_action_steps), _EXECUTED),
    )
    for row, (_, members, color) in enumerate(rows):
        for index in members:
            pad = bool(is_pad[index])
            axes.add_patch(
                Rectangle(
                    (index - 0.46, row - 0.42),
                    0.92,
                    0.84,
                    facecolor="white" if pad else color,
                    edgecolor=color,
                    hatch=_PAD_HATCH if pad else None,
                    alpha=0.45 if pad else 1.0,
                )
            )
            axes.text(
                index,
                row,
                str(labels[index]),
                ha="center",
                va="center",
                color=INK if pad else "white",
                fontsize=9.5,
            )
    axes.set(xlim=(-0.6, max(horizon, 16) - 0.4), ylim=(2.55, -0.55), xticks=[], yticks=range(3))
    axes.set_yticklabels([name for name, _, _ in rows])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
