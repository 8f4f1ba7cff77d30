"""Pictures of the UNet: how it knows the diffusion step, its shapes, and how far each action hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, headline, house_style, new_figure


def plot_step_embedding(embedding: ArrayLike, compared: int, text: str) -> Figure:
    """The vectors of all diffusion steps, and how alike they are to one of them.

    Args:
        embedding: (K, dim).
        compared: k of the step that all others are compared with.
        text: what the figure says.
    """
    vectors = np.asarray(embedding)
    norms = np.linalg.norm(vectors, axis=1)
    likeness = vectors @ vectors[compared] / (norms * norms[compared])
    with house_style():
        figure = new_figure(3.2)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
        picture = left.imshow(vectors.T, aspect="auto", cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        left.set(xlabel="diffusion step k", ylabel="entry: sines above, cosines below")
        left.axhline(vectors.shape[1] / 2 - 0.5, color=LINES[1].color, linewidth=1.5)
        left.grid(visible=False)
        figure.colorbar(picture, ax=left, ticks=(-1, 0, 1))
        right.plot(likeness, color=LINES[0].color)
        right.plot(compared, 1, marker="o", color=LINES[0].color, markersize=7)
        right.annotate(f"k = {compared}", (compared, 1), xytext=(8, -3), textcoords="offset points")
        right.set(xlabel="diffusion step k", ylabel=f"cosine similarity to k = {compared}", ylim=(None, 1.06))
        headline(figure, text)
    return figure


def plot_levels(levels: Sequence[tuple[str, int, int]], text: str) -> Figure:
    """What the UNet's parts return: as long as the trajectory is there, as high as it has channels.

    Args:
        levels: (name, channels, time steps) from input to output.
        text: what the figure says.
    """
    longest = max(steps for _, _, steps in levels)
    with house_style():
        figure = new_figure(0.46 * len(levels) + 0.9)
        axes = figure.subplots()
        for row, (name, channels, steps) in enumerate(levels):
            axes.barh(
                row, steps, left=(longest - steps) / 2, height=0.62, color="#b9c7d6", edgecolor=LINES[0].color
            )
            for edge in range(1, steps):
                place = (longest - steps) / 2 + edge
                axes.plot([place, place], [row - 0.31, row + 0.31], color=LINES[0].color, linewidth=0.5)
            axes.text(longest + 0.4, row, f"{channels} channels x {steps} steps", va="center")
            axes.text(-0.4, row, name, va="center", ha="right")
        axes.set(xlim=(-6.5, longest + 7), ylim=(len(levels) - 0.4, -0.6), yticks=[], xticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        headline(figure, text)
    return figure


def draw_reach(figure: Figure, reach: Mapping[str, ArrayLike], step: int) -> None:
    """Which input steps one output step depends on, for nets of growing depth.

    Args:
        figure: empty, about 7.2 by 3.8 inches.
        reach: {name: (T, T)}, size of the gradient of output step (row) by input step (column).
        step: the output step that is shown.
    """
    rows = figure.subplots(len(reach), 1, sharex=True)
    figure.subplots_adjust(left=0.05, right=0.98, top=0.85, bottom=0.14, hspace=0.75)
    for axes, (name, values) in zip(np.atleast_1d(rows), reach.items(), strict=True):
        size = np.asarray(values)[step]
        heard = size > 0
        places = np.arange(len(size))
        axes.bar(
            places[heard], size[heard] / size.max(), width=0.85, color="#8aa4bf", edgecolor=LINES[0].color
        )
        axes.plot(
            places[heard], np.full(heard.sum(), -0.12), linestyle="", marker="|", color=INK, markersize=5
        )
        axes.axvline(step, color=LINES[1].color, linestyle="--", linewidth=1.4)
        axes.set(xlim=(-1, len(size)), ylim=(-0.25, 1.1), yticks=[])
        axes.set_title(f"{name}: hears {int(heard.sum())} of {len(size)} steps", fontsize=10, pad=3)
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
    np.atleast_1d(rows)[-1].set_xlabel("time step of the noisy trajectory (ticks: it matters at all)")
    figure.suptitle(
        f"What output step {step} depends on (dashed)", x=0.05, ha="left", fontsize=12, weight="bold"
    )


def plot_mish(values: ArrayLike, mish: ArrayLike, slope: ArrayLike, text: str) -> Figure:
    """FiLM's first layer over the range of normalised observations, and its slope.

    Args:
        values: (n,) inputs.
        mish: (n,) outputs.
        slope: (n,) derivatives.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(2.9)
        axes = figure.subplots()
        curves = (
            ("x", values, GRAY, ":", 0.1, (8, -8)),
            ("mish(x)", mish, LINES[0].color, LINES[0].linestyle, 0.8, (8, -12)),
            ("its slope", slope, LINES[1].color, LINES[1].linestyle, 0.3, (-30, 8)),
        )
        for name, curve, color, linestyle, share, offset in curves:
            axes.plot(values, curve, color=color, linestyle=linestyle)
            at = int(share * (len(np.asarray(values)) - 1))
            axes.annotate(
                name, (np.asarray(values)[at], np.asarray(curve)[at]), xytext=offset,
                textcoords="offset points", color=color,
            )  # fmt: skip
        axes.axhline(0, color=GRAY, linewidth=0.8)
        axes.set(xlabel="normalised observation", ylabel="value", xlim=(-1.05, 1.05))
        headline(figure, text)
    return figure


def plot_overfitting(losses: ArrayLike, text: str) -> Figure:
    """Loss over the steps on one batch.

    Args:
        losses: (steps,).
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(2.8)
        axes = figure.subplots()
        axes.semilogy(np.asarray(losses), color=LINES[0].color)
        axes.set(xlabel="optimiser step", ylabel="loss (mean squared error)", xlim=(0, None))
        headline(figure, text)
    return figure
