"""The figures of notebook 14: what a number of successes says, and what one should not read into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure


def plot_intervals(rows: Mapping[str, tuple[float, float, float]], title: str) -> Figure:
    """Success rates with their intervals, one row for each.

    Args:
        rows: rate, lower and upper end, by name.
        title: what the figure says.
    """
    with house_style():
        figure = new_figure(height=1.2 + 0.42 * len(rows))
        axes = figure.add_subplot()
        for place, (rate, low, high) in enumerate(rows.values()):
            axes.plot([low, high], [place, place], color=INK, linewidth=2.2, solid_capstyle="butt")
            axes.plot([low, high], [place, place], color=INK, marker="|", markersize=12, linestyle="")
            axes.plot(rate, place, color=LINES[0].color, marker="o", markersize=8, clip_on=False)
            axes.text(1.03, place, f"{rate:.0%} ({low:.0%} to {high:.0%})", va="center",
                      transform=axes.get_yaxis_transform())  # fmt: skip
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 1.01)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("episodes that succeed: observed rate and 95 % interval")
        headline(figure, title)
    return figure


def plot_chunk_lengths(lengths: Sequence[int], errors: Mapping[str, Sequence[float]], title: str) -> Figure:
    """How far off the hand is, by the number of actions between two looks.

    Args:
        lengths: values of Ta.
        errors: mean distances, one for each length, by what is shown.
        title: what the figure says.
    """
    with house_style():
        figure = new_figure(height=3.2)
        axes = figure.add_subplot()
        for line, (name, values) in zip(LINES, errors.items(), strict=False):
            axes.plot(
                lengths, values, color=line.color, linestyle=line.linestyle, marker=line.marker, label=name
            )
        axes.set_xticks(list(lengths))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Ta: actions executed before it looks again")
        axes.set_ylabel("mean distance to the target")
        axes.legend(loc="upper left")
        headline(figure, title)
    return figure


def plot_luckiest(single: np.ndarray, luckiest: np.ndarray, truth: float, title: str) -> Figure:
    """What one checkpoint shows, and what the best of several shows, when all are equally good.

    Args:
        single: observed rates of one checkpoint, many times over (N,).
        luckiest: observed rates of the best of several (N,).
        truth: the true rate of all.
        title: what the figure says.
    """
    with house_style():
        figure = new_figure(height=3.2)
        axes = figure.add_subplot()
        bins = np.arange(0.61, 1.03, 0.02)
        axes.hist(single, bins=bins, density=True, color=PALE, edgecolor=GRAY, label="one checkpoint")
        axes.hist(luckiest, bins=bins, density=True, histtype="step", color=INK, hatch="///",
                  linewidth=1.5, label="the luckiest of ten")  # fmt: skip
        axes.axvline(truth, color=LINES[1].color, linestyle="--", label="the truth, for all of them")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_yticks([])
        axes.set_xlabel("observed success in 50 episodes")
        axes.legend(loc="upper left")
        headline(figure, title)
    return figure
