"""Pictures of what a denoiser may predict: the rotation of clean and noise, and where each target is hard."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure


def draw_rotation(figure: Figure, clean: ArrayLike, noise: ArrayLike, signal_left: float, title: str) -> None:
    """One noise level: x_k and v turn against x_0 and epsilon, beside the trajectories themselves.

    All limits are fixed, so that frames do not jump.

    Args:
        figure: empty, about 7.2 by 3.4 inches.
        clean: (T,) one coordinate of a clean trajectory.
        noise: (T,) its noise.
        signal_left: alpha_bar of this level.
        title: such as "k = 42".
    """
    clean, noise = np.asarray(clean), np.asarray(noise)
    a, s = signal_left**0.5, (1 - signal_left) ** 0.5
    figure.text(0.02, 0.93, title, fontsize=12, weight="bold")
    figure.text(0.14, 0.93, f"signal_scale a = {a:.2f}, noise_scale s = {s:.2f}", fontsize=9.5, color=GRAY)

    plane = figure.add_axes((0.02, 0.05, 0.4, 0.82))
    angle = np.linspace(0, 2 * np.pi, 200)
    plane.plot(np.cos(angle), np.sin(angle), color=PALE, linewidth=1)
    for x, y, name, line in (
        (1, 0, "x_0", LINES[1]),
        (0, 1, "epsilon", LINES[2]),
        (a, s, "x_k", LINES[0]),
        (-s, a, "v", LINES[3]),
    ):
        axis = name in ("x_0", "epsilon")
        plane.annotate(
            "",
            (x, y),
            (0, 0),
            arrowprops={
                "arrowstyle": "-|>",
                "color": GRAY if axis else line.color,
                "linewidth": 1 if axis else 2.4,
                "linestyle": "-" if axis or name == "x_k" else (0, (4, 1.5)),
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
        place = (1.17 * x, 1.17 * y)
        if axis and min(abs(a * x + s * y), 1) > 0.97:
            place = (1.17 * x + 0.02, 1.17 * y - 0.2 if name == "x_0" else 1.17 * y + 0.14)
        if name == "epsilon" and a > 0.97:  # v lies on it
            place = (0.32, 1.14)
        plane.text(
            *place, name, ha="center", va="center", fontsize=10.5, color=GRAY if axis else line.color,
            weight="normal" if axis else "bold",
        )  # fmt: skip
    plane.set(xlim=(-1.35, 1.35), ylim=(-0.4, 1.4), aspect="equal")
    plane.axis("off")

    steps = np.arange(len(clean))
    noisy, v = a * clean + s * noise, a * noise - s * clean
    rows = (("input x_k", noisy, LINES[0]), ("epsilon", noise, LINES[2]), ("x_0", clean, LINES[1]))
    rows += (("v", v, LINES[3]),)
    for row, (name, values, line) in enumerate(rows):
        axes = figure.add_axes((0.56, 0.715 - 0.197 * row, 0.42, 0.165))
        axes.axhline(0, color=PALE, linewidth=0.8)
        axes.plot(
            steps, values, color=line.color, linestyle=line.linestyle, marker=line.marker, markersize=3.5,
            linewidth=1.3,
        )  # fmt: skip
        axes.set(xlim=(-0.6, len(clean) - 0.4), ylim=(-2.9, 2.9), yticks=(-2, 0, 2))
        axes.set(xticks=range(0, len(clean), 5))
        axes.grid(visible=False)
        axes.tick_params(labelbottom=row == 3, labelsize=8.5)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=4, color=line.color)
    axes.set_xlabel("time step of the trajectory", labelpad=1)


def plot_by_level(
    curves: Mapping[str, ArrayLike],
    labels_at: Mapping[str, int],
    ylabel: str,
    text: str,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One number of each prediction type at every noise level.

    Args:
        curves: {name: (K,)}.
        labels_at: {name: k at which the name is written on its line; below it if negative}.
        ylabel: what the number is.
        text: what the figure says.
        log: in decades.
        limits: of the vertical axis.
    """
    styles = {"epsilon": LINES[2], "sample": LINES[1], "v": LINES[3]}
    with house_style():
        figure = new_figure(3.3)
        axes = figure.subplots()
        for name, values in curves.items():
            line = styles[name]
            axes.plot(np.asarray(values), color=line.color, linestyle=line.linestyle, linewidth=2.2)
            k, rise = abs(labels_at[name]), 7 if labels_at[name] > 0 else -16
            axes.annotate(
                name, (k, np.asarray(values)[k]), xytext=(4, rise), textcoords="offset points",
                color=line.color, weight="bold",
            )  # fmt: skip
        if log:
            axes.set_yscale("log")
        if limits:
            axes.set_ylim(*limits)
        axes.set(xlabel="diffusion step k (more noise to the right)", ylabel=ylabel)
        axes.set_xlim(0, len(values) - 1)
        headline(figure, text)
    return figure


def plot_divisors(given: ArrayLike, losses: Mapping[str, ArrayLike], text: str) -> Figure:
    """The same errors, with more and more entries given: what each way to average reports.

    Args:
        given: (n,) share of entries that is given.
        losses: {name: (n,) loss}.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.0)
        axes = figure.subplots()
        for (name, values), line in zip(losses.items(), LINES, strict=False):
            axes.plot(
                given, values, color=line.color, linestyle=line.linestyle, marker=line.marker, label=name
            )
            # Where the lines lie apart: at the end another line would run through its name.
            axes.annotate(
                name, (given[-1], values[-1]), xytext=(8, 0), textcoords="offset points", va="center",
                color=line.color, annotation_clip=False,
            )  # fmt: skip
        axes.set(xlabel="share of the entries that is given", ylabel="loss", ylim=(0, None))
        axes.spines["left"].set_color(INK)
        headline(figure, text)
    return figure
