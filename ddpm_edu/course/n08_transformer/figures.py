"""Pictures of the transformer: masks, who looks at whom, and what the causal mask changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, LINES, PALE, headline, house_style, new_figure


def plot_token_masks(masks: Mapping[str, tuple[ArrayLike, Sequence[str]]], text: str) -> Figure:
    """Which token may look at which.

    Args:
        masks: {title: ((N, S) bool, True where looking is allowed, names of the S columns)}.
        text: what the figure says.
    """
    widths = [np.asarray(mask).shape[1] + 4 for mask, _ in masks.values()]
    with house_style():
        figure = new_figure(3.9)
        panels = np.atleast_1d(figure.subplots(1, len(masks), width_ratios=widths))
        for axes, (title, (mask, columns)) in zip(panels, masks.items(), strict=True):
            _draw_mask(axes, np.asarray(mask))
            axes.set_title(title)
            axes.set_xticks(range(len(columns)), columns, fontsize=9)
            axes.set_ylabel("action token that looks")
        figure.text(0.99, 0.012, "hatched: may look     white: hidden", ha="right", color=GRAY, fontsize=9.5)
        figure.get_layout_engine().set(rect=(0, 0.06, 1, 0.94))
        headline(figure, text)
    return figure


def _draw_mask(axes: Axes, mask: np.ndarray) -> None:
    N, S = mask.shape
    for n in range(N):
        for s in range(S):
            may = bool(mask[n, s])
            axes.add_patch(
                Rectangle(
                    (s - 0.5, n - 0.5), 1, 1,
                    facecolor="#b9c7d6" if may else "white",
                    edgecolor=LINES[0].color if may else PALE,
                    hatch="////" if may else None,
                    linewidth=0.5,
                )
            )  # fmt: skip
    axes.set(xlim=(-0.5, S - 0.5), ylim=(N - 0.5, -0.5), yticks=range(0, N, 2))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_attention(
    figure: Figure,
    self_maps: Sequence[ArrayLike],
    cross_maps: Sequence[ArrayLike],
    columns: Sequence[str],
    title: str,
) -> None:
    """Attention weights of every layer at one denoising step, darker for more.

    Args:
        figure: empty, about 8 by 4.6 inches.
        self_maps: one (T, T) for each layer: actions (rows) looking at actions.
        cross_maps: one (T, S) for each layer: actions looking at what is known.
        columns: names of the S tokens that are known.
        title: such as "k = 42".
    """
    n_layers = len(self_maps)
    ticks = range(0, len(np.asarray(self_maps[0])), 3)
    panels = figure.subplots(2, n_layers, height_ratios=(1, 1))
    figure.subplots_adjust(left=0.075, right=0.9, top=0.84, bottom=0.09, hspace=0.5, wspace=0.18)
    for layer in range(n_layers):
        for axes, values in ((panels[0, layer], self_maps[layer]), (panels[1, layer], cross_maps[layer])):
            shown = axes.imshow(
                np.asarray(values), cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
            )
            axes.tick_params(length=2, labelsize=9)
            axes.grid(visible=False)
            axes.set_yticks(ticks if layer == 0 else ())
        panels[0, layer].set_title(f"layer {layer + 1}", fontsize=10, pad=3)
        panels[0, layer].set_xticks(ticks)
        panels[0, layer].set_xlabel("action looked at", fontsize=9, labelpad=1)
        panels[1, layer].set_xticks(range(len(columns)), columns, fontsize=9)
    panels[0, 0].set_ylabel("action that looks", fontsize=9.5)
    panels[1, 0].set_ylabel("action that looks", fontsize=9.5)
    bar = figure.colorbar(shown, cax=figure.add_axes((0.925, 0.09, 0.014, 0.75)), ticks=(0, 0.5, 1))
    bar.set_label("attention weight", fontsize=9.5, labelpad=1)
    bar.ax.tick_params(length=2, labelsize=9)
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, weight="bold")


def plot_mask_comparison(runs: Sequence[Mapping], text: str) -> Figure:
    """Runs with and without the causal mask; a line joins the two runs of one seed.

    Args:
        runs: of `benchmarks/causal_mask.py`: action, causal, seed, validation_loss, action_error.
        text: what the figure says.
    """
    values = {(run["action"], run["causal"], run["seed"]): run for run in runs}
    actions = sorted({run["action"] for run in runs})
    measures = (("validation_loss", "validation loss"), ("action_error", "action error (normalised, RMS)"))
    with house_style():
        figure = new_figure(3.2)
        for axes, (key, name) in zip(figure.subplots(1, 2), measures, strict=True):
            for place, action in enumerate(actions):
                for causal, line, x in ((True, LINES[0], 2.4 * place), (False, LINES[1], 2.4 * place + 1)):
                    found = [run[key] for run in runs if (run["action"], run["causal"]) == (action, causal)]
                    axes.plot(
                        [x] * len(found),
                        found,
                        color=line.color,
                        marker=line.marker,
                        linestyle="",
                        markersize=7,
                    )
                for seed in {run["seed"] for run in runs}:
                    pair = [values.get((action, causal, seed)) for causal in (True, False)]
                    if all(pair):
                        x = (2.4 * place, 2.4 * place + 1)
                        axes.plot(x, [run[key] for run in pair], color=GRAY, linewidth=1)
            places = [2.4 * place + side for place in range(len(actions)) for side in (0, 1)]
            names = [f"{mask}\n{action}" for action in actions for mask in ("masks", "none")]
            axes.set_xticks(places, names, fontsize=9)
            axes.set(
                ylabel=name, ylim=(0, 1.1 * max(run[key] for run in runs)), xlim=(-0.5, places[-1] + 0.5)
            )
        headline(figure, text)
    return figure
