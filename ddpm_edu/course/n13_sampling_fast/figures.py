"""Pictures of sampling in few steps: what is visited, how far off it ends, and what a robot makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure


def plot_visited(visited: Mapping[str, Sequence[int]], alpha_bar: ArrayLike, text: str) -> Figure:
    """Which noise levels each choice visits, above the signal that is left there.

    Args:
        visited: steps k by the choice's name.
        alpha_bar: (K,) of the schedule.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(height=2.3 + 0.25 * len(visited))
        rows, signal = figure.subplots(2, 1, sharex=True, height_ratios=(len(visited) * 0.7, 2))
        for place, (steps, line) in enumerate(zip(visited.values(), LINES, strict=False)):
            rows.plot(steps, [place] * len(steps), color=line.color, marker=line.marker, linestyle="")
        rows.set_yticks(range(len(visited)), list(visited))
        rows.set_ylim(len(visited) - 0.5, -0.5)
        signal.plot(np.sqrt(alpha_bar), color=INK)
        signal.set(xlabel="diffusion step k", ylabel="signal left,\nsqrt(alpha_bar)", ylim=(0, 1.05))
        signal.set_xlim(len(np.asarray(alpha_bar)) + 1, -2)
        headline(figure, text)
    return figure


def plot_errors(
    steps: Sequence[int], errors: Mapping[str, Sequence[float]], unit: str, text: str,
    floor: tuple[str, float] | None = None,
) -> Figure:  # fmt: skip
    """How far off a sampler ends, by its number of steps, both in decades.

    Args:
        steps: numbers of steps.
        errors: one for each number of steps, by the sampler's name.
        unit: what the error is, for the axis.
        text: what the figure says.
        floor: a name and an error to compare with, drawn as a horizontal line.
    """
    with house_style():
        figure = new_figure(height=3.3)
        axes = figure.subplots()
        for (name, values), line in zip(errors.items(), LINES, strict=False):
            axes.plot(
                steps, values, color=line.color, linestyle=line.linestyle, marker=line.marker, label=name
            )
        if floor is not None:
            axes.axhline(floor[1], color=GRAY, linewidth=1.2)
            axes.annotate(
                floor[0], (steps[-1], floor[1]), xytext=(0, 4), textcoords="offset points", ha="right"
            )
        axes.set(xscale="log", yscale="log", xlabel="denoising steps", ylabel=unit)
        axes.set_xticks(list(steps), [str(n) for n in steps])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
        axes.legend(loc="best")
        headline(figure, text)
    return figure


def plot_success(
    steps: Sequence[int], rates: Sequence[float], intervals: Sequence[tuple[float, float]], text: str
) -> Figure:
    """Success rates in the simulator with their 95 % intervals, by the number of denoising steps.

    Args:
        steps: numbers of steps.
        rates: observed success rates.
        intervals: lower and upper ends.
        text: what the figure says.
    """
    low, high = np.asarray(intervals).T
    places = np.arange(len(steps))
    with house_style():
        figure = new_figure(height=2.9)
        axes = figure.subplots()
        axes.vlines(places, low, high, color=INK, linewidth=2.2)
        axes.plot(places, low, color=INK, marker="_", markersize=12, linestyle="")
        axes.plot(places, high, color=INK, marker="_", markersize=12, linestyle="")
        axes.plot(places, rates, color=LINES[0].color, marker="o", markersize=8, linestyle="")
        for place, rate in zip(places, rates, strict=True):
            axes.annotate(f"{rate:.0%}", (place, rate), xytext=(10, -4), textcoords="offset points")
        axes.set_xticks(places, [str(n) for n in steps])
        axes.set(xlim=(-0.5, len(steps) - 0.4), ylim=(-0.05, 1.08))
        axes.set(xlabel="denoising steps (DDIM)", ylabel="episodes that succeed")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        headline(figure, text)
    return figure


def draw_paths(
    figure: Figure, paths: ArrayLike, ways: ArrayLike, visited: Sequence[int], K: int, title: str
) -> None:
    """The same noise denoised in some number of steps, above a row of the levels that were visited.

    All limits are fixed, so that frames do not jump.

    Args:
        figure: empty, about 3.6 by 3.9 inches.
        paths: (N, T, 2) samples.
        ways: (M, T, 2) middles of the clean distribution's modes.
        visited: steps k.
        K: number of noise levels.
        title: such as "4 steps".
    """
    axes = figure.add_axes((0.13, 0.33, 0.83, 0.57))
    for way in np.asarray(ways):
        axes.plot(*way.T, color=PALE, linewidth=9, solid_capstyle="round", zorder=1)
    for path in np.asarray(paths):
        axes.plot(*path.T, color=LINES[0].color, linewidth=0.9, alpha=0.7, zorder=2)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_ylabel("forward", labelpad=-4)
    axes.set_xlabel("sideways", labelpad=1)
    axes.grid(visible=False)
    row = figure.add_axes((0.13, 0.12, 0.83, 0.05))
    row.plot(visited, np.zeros(len(visited)), color=LINES[1].color, marker="|", markersize=9, linestyle="")
    row.set(xlim=(K, -1), ylim=(-1, 1), xticks=(K - 1, K // 2, 0), yticks=[])
    row.set_xlabel("visited noise levels k", labelpad=1)
    row.spines["left"].set_visible(False)
    figure.text(0.03, 0.95, title, ha="left", va="center", fontsize=12, weight="bold")
