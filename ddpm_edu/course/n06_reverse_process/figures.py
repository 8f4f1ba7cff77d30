"""Pictures of the reverse process: walks from noise, the posterior of one step, and clouds that form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, LINES, PALE, headline, house_style, new_figure


def plot_posterior(
    values: ArrayLike, selected: ArrayLike, mean: float, deviation: float, text: str
) -> Figure:
    """Where walks were one step earlier, of those that pass a place, under the formula's normal curve.

    Args:
        values: (N,) x_(k-1) of all walks.
        selected: (n,) x_(k-1) of the walks that pass the place at step k.
        mean: of the posterior.
        deviation: of the posterior.
        text: what the figure says.
    """
    grid = np.linspace(-2.2, 2.2, 400)
    with house_style():
        figure = new_figure(2.9)
        axes = figure.subplots()
        axes.hist(np.asarray(values), bins=110, range=(-2.2, 2.2), density=True, color=PALE)
        axes.hist(
            np.asarray(selected), bins=110, range=(-2.2, 2.2), density=True, histtype="step", color=GRAY
        )
        density = np.exp(-0.5 * ((grid - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
        axes.plot(grid, density, color=LINES[0].color)
        axes.annotate(
            "formula (line) and the\nwalks through 0.4 (steps)",
            (mean + deviation, density.max() * 0.6),
            xytext=(14, 0),
            textcoords="offset points",
        )
        axes.annotate("all walks", (-1.6, 0.5), color=GRAY)
        axes.set(xlabel="value one step earlier, at k - 1", ylabel="density", xlim=(-2.2, 2.2))
        headline(figure, text)
    return figure


def plot_walks(
    timesteps: Sequence[int], walks: ArrayLike, values: ArrayLike, density: ArrayLike, text: str
) -> Figure:
    """Walks of one number from noise to a distribution, and where they arrive.

    Args:
        timesteps: (levels,) k of each level, falling; -1 is the result.
        walks: (levels, N) values; the first 40 are drawn, all are counted.
        values: (V,) where the density is given.
        density: (V,) of the clean distribution.
        text: what the figure says.
    """
    walks = np.asarray(walks)
    with house_style():
        figure = new_figure(3.3)
        way, end = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (4, 1)})
        way.plot(timesteps, walks[:, :40], color=LINES[0].color, linewidth=0.6, alpha=0.5)
        way.set(xlim=(timesteps[0], timesteps[-1]), ylim=(-3, 3))
        way.set(xlabel="diffusion step k: noise at the left, clean at the right", ylabel="value")
        end.hist(walks[-1], bins=90, range=(-1.5, 1.5), density=True, orientation="horizontal", color=PALE)
        end.plot(density, values, color=LINES[1].color, linestyle=LINES[1].linestyle)
        end.set(xlabel="density", title="arrived")
        headline(figure, text)
    return figure


def plot_variances(variances: Mapping[str, ArrayLike], text: str) -> Figure:
    """Variances of the noise that each step back adds, in decades.

    Args:
        variances: {name: (K,)}; zeros are left out.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(2.9)
        axes = figure.subplots()
        for (name, variance), line in zip(variances.items(), LINES, strict=False):
            variance = np.asarray(variance)
            shown = np.flatnonzero(variance > 0)
            axes.semilogy(shown, variance[shown], color=line.color, linestyle=line.linestyle, label=name)
        axes.set(xlabel="diffusion step k", ylabel="variance of the added noise")
        axes.legend(loc="upper left")
        headline(figure, text)
    return figure


def draw_cloud(figure: Figure, cloud: ArrayLike, predicted: ArrayLike, modes: ArrayLike, title: str) -> None:
    """One moment on the way back: where the samples are, and where the denoiser thinks they come from.

    All limits are fixed, so that frames do not jump.

    Args:
        figure: empty, about 7.2 by 3.7 inches.
        cloud: (N, 2) samples.
        predicted: (N, 2) what the denoiser takes for their clean values.
        modes: (M, 2) middles of the clean distribution's modes.
        title: such as "k = 42".
    """
    for column, (points, name, line, limit) in enumerate(
        (
            (cloud, "the samples", LINES[0], 3.0),
            (predicted, "what the denoiser takes for clean", LINES[1], 1.0),
        )
    ):
        axes = figure.add_axes((0.09 + 0.49 * column, 0.14, 0.4, 0.68))
        axes.plot(*np.asarray(modes).T, marker="+", markersize=16, linestyle="", color=GRAY, zorder=3)
        axes.plot(
            *np.asarray(points).T,
            marker=line.marker,
            markersize=2.6,
            linestyle="",
            color=line.color,
            alpha=0.6,
        )
        ticks = (-limit, 0, limit)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=ticks, yticks=ticks, title=name)
        axes.set_xlabel("first number", labelpad=1)
        axes.grid(visible=False)
    figure.axes[0].set_ylabel("second number", labelpad=-2)
    figure.text(0.02, 0.94, title, ha="left", va="center", fontsize=12, weight="bold")


def draw_small_cloud(figure: Figure, cloud: ArrayLike, modes: ArrayLike, title: str) -> None:
    """One moment, small enough for a strip of four.

    Args:
        figure: empty, about 2.15 by 2.4 inches.
        cloud: (N, 2) samples.
        modes: (M, 2) middles of the clean distribution's modes.
        title: such as "k = 42".
    """
    axes = figure.add_axes((0.17, 0.14, 0.79, 0.74))
    axes.plot(*np.asarray(modes).T, marker="+", markersize=12, linestyle="", color=GRAY, zorder=3)
    axes.plot(*np.asarray(cloud).T, marker="o", markersize=1.8, linestyle="", color=LINES[0].color, alpha=0.6)
    axes.set(xlim=(-3, 3), ylim=(-3, 3), xticks=(-3, 3), yticks=(-3, 3))
    axes.set_xlabel("first number", fontsize=8, labelpad=-8)
    axes.set_ylabel("second number", fontsize=8, labelpad=-10)
    axes.set_title(title, weight="bold")
    axes.grid(visible=False)
