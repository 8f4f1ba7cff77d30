"""Pictures of notebook 19: a field of scores, and positive quantities over one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, LINES, headline, house_style, new_figure


def plot_score_fields(
    places: ArrayLike, fields: Mapping[str, tuple[ArrayLike, ArrayLike]], text: str
) -> Figure:
    """Where probability grows, at several levels of noise.

    Args:
        places: (N, 2) where an arrow begins.
        fields: {title: (N, 2) scores, (M, 2) samples at this level}.
        text: what the figure says.
    """
    places = np.asarray(places)
    with house_style():
        figure = new_figure(2.9)
        for axes, (title, (score, samples)) in zip(
            figure.subplots(1, len(fields), sharex=True, sharey=True), fields.items(), strict=True
        ):
            arrows, points = np.asarray(score), np.asarray(samples)
            # The direction is what is looked at: lengths differ by orders of magnitude.
            lengths = np.linalg.norm(arrows, axis=1, keepdims=True)
            arrows = arrows / np.maximum(lengths, 1e-9)
            axes.plot(points[:, 0], points[:, 1], ".", color=LINES[1].color, markersize=2, alpha=0.5)
            axes.quiver(*places.T, *arrows.T, color=LINES[0].color, scale=26, width=0.005)
            axes.set(title=title, xlabel="x", aspect="equal", xlim=(-2.2, 2.2), ylim=(-1.6, 1.6))
        figure.axes[0].set_ylabel("y")
        headline(figure, text)
    return figure


def plot_lines(
    x: Sequence[float],
    lines: Mapping[str, ArrayLike],
    text: str,
    xlabel: str,
    ylabel: str,
    xscale: str = "linear",
) -> Figure:
    """Several positive quantities over one axis, on a log scale.

    Args:
        x: (N,).
        lines: {label: (N,)}.
        text: what the figure says.
        xlabel: of the axis.
        ylabel: of the axis.
        xscale: "linear" or "log".
    """
    with house_style():
        figure = new_figure(2.8)
        axes = figure.subplots()
        many = len(x) > 20
        for (label, values), line in zip(lines.items(), LINES, strict=False):
            marker = "" if many else line.marker
            axes.plot(x, values, color=line.color, linestyle=line.linestyle, marker=marker, label=label)
        axes.set(xlabel=xlabel, ylabel=ylabel, yscale="log", xscale=xscale)
        if not many:
            axes.set_xticks(list(x), [f"{value:g}" for value in x])
            axes.minorticks_off()
        axes.legend(loc="best")
        axes.tick_params(axis="y", which="minor", labelcolor=GRAY)
        headline(figure, text)
    return figure
