"""Pictures of training: learning rates, losses over steps and noise levels, and what they do not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, LINES, headline, house_style, new_figure


def plot_curve(
    x: ArrayLike, curves: Mapping[str, ArrayLike], labels: tuple[str, str], text: str, log: bool = False
) -> Figure:
    """Up to four curves over one axis.

    Args:
        x: (n,).
        curves: {name: (n,)}.
        labels: of the two axes, with units.
        text: what the figure says.
        log: logarithmic values.
    """
    with house_style():
        figure = new_figure(3.0)
        axes = figure.subplots()
        for (name, values), line in zip(curves.items(), LINES, strict=False):
            axes.plot(x, values, color=line.color, linestyle=line.linestyle, label=name)
        axes.set(xlabel=labels[0], ylabel=labels[1], yscale="log" if log else "linear")
        if len(curves) > 1:
            axes.legend()
        headline(figure, text)
    return figure


def plot_logs(
    runs: Sequence[tuple[str, Sequence[tuple[int, float]], Sequence[tuple[int, float]]]], text: str
) -> Figure:
    """Training and validation loss of several runs, a panel each; their lowest validation loss is marked.

    Args:
        runs: (title, [(step, training loss)], [(step, validation loss)]).
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(5.2)
        panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
        for axes, (title, training, validation) in zip(panels, runs, strict=False):
            steps, losses = np.array(training).T
            axes.semilogy(steps, losses, color=GRAY, linewidth=1.3, label="training")
            steps, losses = np.array(validation).T
            line = LINES[0]
            axes.semilogy(steps, losses, color=line.color, marker=line.marker, label="held out")
            lowest = int(losses.argmin())
            axes.semilogy(
                steps[lowest], losses[lowest], marker="v", markersize=11, linestyle="",
                color=LINES[1].color, label="lowest",
            )  # fmt: skip
            axes.set_title(title)
        panels[0].legend()
        figure.supxlabel("optimiser step", fontsize=10.5)
        figure.supylabel("loss (mean squared error)", fontsize=10.5)
        headline(figure, text)
    return figure
