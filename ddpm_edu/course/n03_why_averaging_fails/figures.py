"""Pictures of two ways round an obstacle: what averages make of them, and what samples do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure

_LEFT, _RIGHT, _ANSWER = LINES[0], LINES[1], LINES[2]


@dataclass(frozen=True)
class Table:
    """One panel of `plot_tables`.

    Attributes:
        title: what the panel shows.
        ways: (N, T, 2) trajectories, drawn thin: left of the obstacle full, right of it dashed.
        answer: (T, 2) one trajectory, drawn thick with dots, or None.
    """

    title: str
    ways: ArrayLike
    answer: ArrayLike | None = None


def plot_tables(tables: Sequence[Table], radius: float, text: str) -> Figure:
    """The obstacle from above, and trajectories round it, panel by panel.

    Args:
        tables: two or three panels.
        radius: of the obstacle, which stands at (0, 0).
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.9 if len(tables) == 2 else 2.9)
        for axes, table in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables, strict=True):
            _draw_obstacle(axes, radius)
            _draw_ways(axes, table.ways, _on_the_left(table.ways), linewidth=0.6, alpha=0.5)
            if table.answer is not None:
                axes.plot(*np.asarray(table.answer).T, color=_ANSWER.color, marker="o", linewidth=2.6)
            axes.set_title(table.title)
            axes.set_xlabel("x: forward, normalised")
        figure.axes[0].set_ylabel("y: to the left, normalised")
        headline(figure, text)
    return figure


def plot_cost(
    places: ArrayLike, costs: Mapping[str, ArrayLike], ways: tuple[float, float], radius: float, text: str
) -> Figure:
    """The mean squared error of answering one place, over all places; the least is marked.

    Args:
        places: (P,) answers: y beside the obstacle.
        costs: {share of left in the data: (P,) mean squared error}.
        ways: y of the left and of the right way.
        radius: of the obstacle.
        text: what the figure says.
    """
    places = np.asarray(places)
    with house_style():
        figure = new_figure(3.2)
        axes = figure.subplots()
        axes.axvspan(-radius, radius, facecolor=PALE, edgecolor=GRAY, hatch="//", linewidth=0)
        for (name, cost), line in zip(costs.items(), LINES, strict=False):
            cost = np.asarray(cost)
            least = int(cost.argmin())
            axes.plot(places, cost, color=line.color, linestyle=line.linestyle)
            axes.plot(places[least], cost[least], marker=line.marker, markersize=9, color=line.color)
            axes.annotate(
                name, (places[-1], cost[-1]), xytext=(4, 0), textcoords="offset points", va="center"
            )
        top = axes.get_ylim()[1]
        axes.set(ylim=(0, top), xlim=(places[0], places[-1]))
        for y, name in zip(ways, ("left way", "right way"), strict=True):
            axes.axvline(y, color=GRAY, linewidth=1)
            axes.text(y, top, name, ha="center", va="bottom", color=GRAY)
        axes.text(0, 0.04 * top, "obstacle", ha="center", bbox={"facecolor": "white", "edgecolor": "none"})
        axes.set(xlabel="the answer: y beside the obstacle, normalised", ylabel="mean squared error")
        headline(figure, text)
    return figure


def draw_forming(
    figure: Figure, trajectories: ArrayLike, left: ArrayLike, radius: float, title: str, small: bool = False
) -> None:
    """One moment of denoising many trajectories. All limits are fixed, so that frames do not jump.

    Args:
        figure: empty, about 6.4 by 3.6 inches; 2.15 by 2.2 where small.
        trajectories: (N, T, 2).
        left: (N,) bool, which of them will arrive on the left: those are full, the others dashed.
        radius: of the obstacle.
        title: such as "k = 42".
        small: for a strip of four.
    """
    axes = figure.add_axes((0.16, 0.12, 0.8, 0.74) if small else (0.1, 0.13, 0.87, 0.75))
    _draw_obstacle(axes, radius)
    _draw_ways(axes, trajectories, np.asarray(left), linewidth=0.5 if small else 0.9, alpha=0.6)
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), xticks=(-1, 0, 1), yticks=(-1, 0, 1), aspect="auto")
    axes.set_title(title, weight="bold")
    if small:
        axes.set(xticks=(-1, 1), yticks=(-1, 1))
        axes.set_xlabel("x: forward", fontsize=8, labelpad=-8)
        axes.set_ylabel("y: to the left", fontsize=8, labelpad=-10)
    else:
        axes.set(xlabel="x: forward, normalised", ylabel="y: to the left, normalised")


@dataclass(frozen=True)
class Start:
    """One start of an episode, seen from above: the hand in (0, 0), the object ahead on the axis.

    Attributes:
        title: which start.
        samples: (N, T, 2) metres, the hand's way in sampled chunks.
        mean: (T, 2) metres, in the mean of the samples.
        regression: (T, 2) metres, in the answer of a network trained with the squared error, or None.
    """

    title: str
    samples: ArrayLike
    mean: ArrayLike
    regression: ArrayLike | None


def plot_starts(starts: Sequence[Start], post: tuple[float, float], text: str) -> Figure:
    """The hand's ways from some starts: samples, their mean, and a regression's answer.

    Args:
        starts: panels.
        post: how far ahead of the hand an imagined post stands, and its radius, metres.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.5)
        for axes, start in zip(
            figure.subplots(1, len(starts), sharey=True, squeeze=False)[0], starts, strict=True
        ):
            ahead, radius = post
            axes.add_patch(Circle((ahead, 0), radius, facecolor=PALE, edgecolor=GRAY, hatch="//"))
            samples = np.asarray(start.samples)
            _draw_ways(axes, samples, samples[:, -1, 1] > 0, linewidth=0.7, alpha=0.6)
            mean = axes.plot(*np.asarray(start.mean).T, color=INK, linewidth=2.6)
            regression = []
            if start.regression is not None:
                way = np.asarray(start.regression)
                regression = axes.plot(*way.T, color=_ANSWER.color, linewidth=2.6, linestyle=":")
            axes.plot(0, 0, marker="s", color=INK)
            axes.set(title=start.title, xlabel="towards the can, m", aspect="equal")
            axes.set(xlim=(-0.015, 0.165), ylim=(-0.1, 0.11), xticks=(0, 0.05, 0.1, 0.15))
            axes.grid(visible=False)
        figure.axes[0].set_ylabel("to the left, m")
        names = ["mean of the samples", "regression"][: len(mean + regression)]
        figure.legend(mean + regression, names, loc="outside lower right", ncols=2)
        headline(figure, text)
    return figure


def plot_asides(
    samples: ArrayLike, demonstrated: ArrayLike, regression: ArrayLike, shares: ArrayLike, text: str
) -> Figure:
    """How far aside the hand goes from each start, by four ways to answer.

    Args:
        samples: (S, N) metres to the left at the end of the chunk, for S starts.
        demonstrated: (S,) the same in the one demonstration from there.
        regression: (S,) the same for a regression's answer.
        shares: (S,) share of the samples that go left.
        text: what the figure says.
    """
    samples = np.asarray(samples)
    S, N = samples.shape
    places = np.arange(S)
    with house_style():
        figure = new_figure(3.8)
        axes = figure.subplots()
        axes.axhline(0, color=GRAY, linewidth=0.8)
        jitter = np.linspace(-0.16, 0.16, N)
        axes.plot(
            (places[:, None] + jitter).ravel(), samples.ravel(), "o", markersize=2.6, color=GRAY, alpha=0.7
        )
        drawn = (
            (demonstrated, _LEFT, "the demonstration"),
            (samples.mean(axis=1), _RIGHT, "mean of the samples"),
            (regression, _ANSWER, "regression"),
        )
        for values, line, name in drawn:
            axes.plot(
                places,
                values,
                line.marker,
                markersize=8,
                color=line.color,
                label=name,
                markeredgecolor="white",
            )
        axes.plot([], [], "o", markersize=2.6, color=GRAY, label=f"{N} samples")
        axes.set_xticks(places, [f"{share:.0%}" for share in np.asarray(shares)])
        axes.set(
            xlabel="start of an episode; below each, the samples' share of left", ylabel="to the left, m"
        )
        axes.legend(
            loc="upper center", ncols=4, bbox_to_anchor=(0.5, 1.13), columnspacing=1.2, handletextpad=0.2
        )
        headline(figure, text)
    return figure


def plot_agreement(steps: Sequence[int], agreement: ArrayLike, text: str) -> Figure:
    """How often samples go the way of the demonstration whose observations they were given.

    Args:
        steps: control steps into the episode.
        agreement: (len(steps),) shares.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(2.8)
        axes = figure.subplots()
        axes.axhline(0.5, color=GRAY, linewidth=1, linestyle=":")
        axes.text(steps[-1], 0.5, "a coin", ha="right", va="bottom", color=GRAY)
        axes.plot(steps, agreement, color=_LEFT.color, marker=_LEFT.marker)
        axes.set(ylim=(0, 1.02), xlabel="control steps of the demonstration that the policy has seen go by")
        axes.set(ylabel="samples on its side", xticks=list(steps))
        headline(figure, text)
    return figure


def _draw_obstacle(axes: Axes, radius: float) -> None:
    axes.add_patch(Circle((0, 0), radius, facecolor=PALE, edgecolor=GRAY, hatch="//", zorder=1))
    axes.set(xlim=(-1.05, 1.05), ylim=(-0.85, 0.85), aspect="equal")
    axes.grid(visible=False)


def _on_the_left(ways: ArrayLike) -> np.ndarray:
    """(N, T, 2) -> (N,) bool: which pass x = 0 on the left."""
    ways = np.asarray(ways)
    return ways[np.arange(len(ways)), np.abs(ways[..., 0]).argmin(axis=1), 1] > 0


def _draw_ways(axes: Axes, ways: ArrayLike, left: np.ndarray, linewidth: float, alpha: float) -> None:
    for way, is_left in zip(np.asarray(ways), left, strict=True):
        line = _LEFT if is_left else _RIGHT
        axes.plot(*way.T, color=line.color, linestyle=line.linestyle, linewidth=linewidth, alpha=alpha)
