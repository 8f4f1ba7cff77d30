"""Pictures of the forward process: schedules, and a trajectory that dissolves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure

AXES = ("x", "y", "z")


def plot_signal_left(alpha_bars: Mapping[str, ArrayLike], text: str, labels_at: Mapping[str, int]) -> Figure:
    """How much of the signal's variance each schedule leaves.

    Args:
        alpha_bars: {name: (K,) alpha_bar}.
        text: what the figure says.
        labels_at: {name: k at which the name is written on its line}.
    """
    with house_style():
        figure = new_figure(3.4)
        axes = figure.subplots()
        for (name, alpha_bar), line in zip(alpha_bars.items(), LINES, strict=False):
            axes.plot(alpha_bar, color=line.color, linestyle=line.linestyle)
            k = labels_at[name]
            axes.annotate(
                name,
                (k, np.asarray(alpha_bar)[k]),
                xytext=(6, 6),
                textcoords="offset points",
                color=line.color,
            )
        axes.set(xlabel="diffusion step k", ylabel="signal left, alpha_bar", ylim=(0, 1.03), xlim=(0, None))
        headline(figure, text)
    return figure


def plot_signal_to_noise(signal_to_noise: ArrayLike, text: str) -> Figure:
    """Signal-to-noise ratio over the steps, in decades, and where it crosses 1.

    Args:
        signal_to_noise: (K,), falling.
        text: what the figure says.
    """
    ratio = np.asarray(signal_to_noise)
    crossing = int((ratio >= 1).sum()) - 1
    with house_style():
        figure = new_figure(3.2)
        axes = figure.subplots()
        axes.axhline(1, color=GRAY, linewidth=1, linestyle="--")
        axes.semilogy(ratio, color=LINES[0].color)
        axes.plot(crossing, ratio[crossing], marker="o", markersize=7, color=LINES[0].color)
        axes.annotate(
            f"k = {crossing}: signal = noise",
            (crossing, ratio[crossing]),
            xytext=(8, 8),
            textcoords="offset points",
        )
        axes.set(xlabel="diffusion step k", ylabel="signal-to-noise ratio (variances)", xlim=(0, len(ratio)))
        axes.set_yticks([1e-6, 1e-4, 1e-2, 1, 1e2])
        headline(figure, text)
    return figure


def plot_path(path: ArrayLike, moments: ArrayLike, text: str) -> Figure:
    """The hand's path in a demonstration, from above and from the side, and some of its moments.

    Args:
        path: (N, 3) positions of the hand in metres.
        moments: (T,) rows of the path that are marked.
        text: what the figure says.
    """
    path, marked = np.asarray(path), np.asarray(path)[np.asarray(moments)]
    with house_style():
        figure = new_figure(3.0)
        for axes, (across, up), view in zip(
            figure.subplots(1, 2), ((1, 0), (1, 2)), ("from above", "from the side"), strict=True
        ):
            axes.plot(path[:, across], path[:, up], color=GRAY, linewidth=1.2)
            axes.plot(marked[:, across], marked[:, up], color=LINES[0].color, marker="o", linestyle="")
            for step, name, marker in ((0, "start", "s"), (-1, "end", "D")):
                point = path[step, [across, up]]
                axes.plot(*point, color=LINES[1].color, marker=marker, markersize=8)
                axes.annotate(name, point, xytext=(8, 6), textcoords="offset points")
            axes.set(title=view, xlabel=f"{AXES[across]} (m)", ylabel=f"{AXES[up]} (m)")
            axes.margins(0.15)
        headline(figure, text)
    return figure


def draw_noised_path(
    figure: Figure, clean: ArrayLike, noised: ArrayLike, signal_left: float, title: str
) -> None:
    """One level of noise: the path in space, each coordinate over time, and the shares of the variance.

    All limits are fixed, so that frames do not jump.

    Args:
        figure: empty, about 7.2 by 3.6 inches.
        clean: (T, 3) normalised positions.
        noised: (T, 3) the same after noise.
        signal_left: alpha_bar of this level, 1 for the clean path.
        title: such as "k = 42".
    """
    clean, noised = np.asarray(clean), np.asarray(noised)
    steps = np.arange(len(clean))
    limit = 3.4

    space = figure.add_axes((-0.05, 0.035, 0.6, 0.86), projection="3d")
    space.plot(*noised.T, color=LINES[0].color, linewidth=1.4, marker="o", markersize=4)
    if signal_left < 1:
        space.plot(*clean.T, color=LINES[1].color, linewidth=1.6, linestyle="--")
    space.scatter(*noised[0], marker="s", s=55, color=LINES[1].color, depthshade=False, zorder=10)
    space.set(xlim=(-limit, limit), ylim=(-limit, limit), zlim=(-limit, limit))
    space.set(xlabel="x", ylabel="y", zlabel="z", xticks=(-2, 0, 2), yticks=(-2, 0, 2), zticks=(-2, 0, 2))
    space.tick_params(pad=-2, labelsize=8.5)
    for axis in (space.xaxis, space.yaxis, space.zaxis):
        axis.labelpad = -7
        axis.set_pane_color((1, 1, 1, 0))
    space.view_init(elev=24, azim=-58)
    space.set_box_aspect((1, 1, 0.85), zoom=1.06)

    for row, name in enumerate(AXES):
        axes = figure.add_axes((0.62, 0.635 - 0.235 * row, 0.36, 0.2))
        axes.axhline(0, color=PALE, linewidth=0.8)
        axes.plot(steps, noised[:, row], color=LINES[0].color, linewidth=1.2, marker="o", markersize=3.5)
        if signal_left < 1:
            axes.plot(steps, clean[:, row], color=LINES[1].color, linewidth=1.6, linestyle="--")
        axes.plot(0, noised[0, row], marker="s", markersize=6, color=LINES[1].color)
        axes.set(xlim=(-0.6, len(clean) - 0.4), ylim=(-limit, limit))
        axes.set(xticks=range(0, len(clean), 5), yticks=(-2, 0, 2))
        axes.grid(visible=False)
        axes.set_ylabel(name, rotation=0, labelpad=6, va="center")
        axes.tick_params(labelbottom=row == 2, labelsize=8.5)
    axes.set_xlabel("time step of the trajectory", labelpad=1)

    bar = figure.add_axes((0.33, 0.905, 0.65, 0.06))
    bar.barh(0, signal_left, color=LINES[0].color)
    bar.barh(0, 1 - signal_left, left=signal_left, color=PALE)
    bar.set(xlim=(0, 1), xticks=[], yticks=[])
    bar.grid(visible=False)
    bar.spines[:].set_visible(False)
    inside = signal_left > 0.4
    bar.text(
        0.01 if inside else signal_left + 0.01,
        0,
        f"signal: alpha_bar = {signal_left:.2f}",
        va="center",
        color="white" if inside else INK,
        fontsize=9.5,
    )
    if signal_left < 0.83:
        bar.text(0.99, 0, f"noise: {1 - signal_left:.2f}", ha="right", va="center", fontsize=9.5)
    figure.text(0.02, 0.935, title, ha="left", va="center", fontsize=12, weight="bold")
    figure.text(0.315, 0.935, "shares", ha="right", va="center", fontsize=9.5, color=GRAY)


def draw_from_the_side(figure: Figure, clean: ArrayLike, noised: ArrayLike, title: str) -> None:
    """One level of noise from the side, small enough for a strip of four.

    Args:
        figure: empty, about 2.15 by 2.4 inches.
        clean: (T, 3) normalised positions.
        noised: (T, 3) the same after noise.
        title: such as "k = 42".
    """
    clean, noised = np.asarray(clean), np.asarray(noised)
    limit = 3.4
    axes = figure.add_axes((0.2, 0.2, 0.77, 0.69))
    axes.plot(noised[:, 1], noised[:, 2], color=LINES[0].color, linewidth=1.2, marker="o", markersize=3.5)
    axes.plot(clean[:, 1], clean[:, 2], color=LINES[1].color, linewidth=1.6, linestyle="--")
    axes.plot(noised[0, 1], noised[0, 2], marker="s", markersize=7, color=LINES[1].color)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=(-2, 0, 2), yticks=(-2, 0, 2))
    axes.grid(visible=False)
    axes.set_title(title, weight="bold")
    axes.set_xlabel("y", labelpad=0)
    axes.set_ylabel("z", rotation=0, labelpad=2, va="center")


def plot_two_ways(
    chain: ArrayLike, means: ArrayLike, deviations: ArrayLike, levels: list[int], text: str
) -> Figure:
    """Many walks of one coordinate, level by level, under the closed form's normal curves.

    Args:
        chain: (levels, samples) values after the walk to each level.
        means: (levels,) of the closed form.
        deviations: (levels,) of the closed form.
        levels: k of each level.
        text: what the figure says.
    """
    values = np.linspace(-3.5, 3.5, 300)
    with house_style():
        figure = new_figure(2.9)
        all_axes = figure.subplots(1, len(levels), sharex=True)
        for axes, samples, mean, deviation, k in zip(
            all_axes, np.asarray(chain), np.asarray(means), np.asarray(deviations), levels, strict=True
        ):
            axes.hist(samples, bins=60, range=(-3.5, 3.5), density=True, color=PALE)
            density = np.exp(-0.5 * ((values - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
            axes.plot(values, density, color=LINES[0].color)
            axes.set(title=f"k = {k}", xlabel="value of the coordinate", yticks=[])
            axes.spines["left"].set_visible(False)
        all_axes[0].set_ylabel("density")
        headline(figure, text)
    return figure
