"""Pictures of notebook 17: both networks, drawn from the modules, and what the place of a norm does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import ArrayLike

from ddpm_edu.denoisers.transformer import TransformerForDiffusion
from ddpm_edu.denoisers.unet import ConditionalUnet1D
from ddpm_edu.viz.style import GRAY, LINES, PALE, headline, house_style, new_figure


def _box(axes: Axes, x: float, y: float, text: str, width: float = 1.7, color: str = "white") -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - 0.3),
            width,
            0.6,
            boxstyle="round,pad=0.02,rounding_size=0.08",
            facecolor=color,
            edgecolor=LINES[0].color,
        )
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=8.5)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], style: str = "-") -> None:
    axes.annotate(
        "",
        end,
        start,
        arrowprops={"arrowstyle": "-|>", "color": GRAY, "linestyle": style, "linewidth": 1.1},
    )


def plot_unet(unet: ConditionalUnet1D, T: int, text: str) -> Figure:
    """The UNet's levels with their channels and steps, skips, FiLM, and where a local condition enters.

    Args:
        unet: any; its sizes are read from it.
        T: steps of the trajectory.
        text: what the figure says.
    """
    dims, levels = unet.down_dims, len(unet.down_dims)
    bottom = -1.35 * levels
    with house_style():
        figure = new_figure(1.1 + 1.02 * levels)
        axes = figure.subplots()
        for level, channels in enumerate(dims):
            y, steps = -1.35 * level, T // 2**level
            _box(axes, 1.4 + 0.8 * level, y, f"down {level}\n{channels} x {steps}")
            if level < levels - 1:
                _arrow(axes, (1.4 + 0.8 * level, y - 0.33), (2.2 + 0.8 * level, y - 1.02))
        x_middle = 2.4 + 0.8 * levels
        _arrow(axes, (1.4 + 0.8 * (levels - 1), bottom + 1.02), (x_middle - 0.9, bottom + 0.1))
        _box(axes, x_middle, bottom, f"middle\n{dims[-1]} x {T // 2 ** (levels - 1)}")
        x_up = x_middle + 1.9
        for index in range(levels - 1):
            level = levels - 1 - index
            x, y = x_up + 0.8 * index, -1.35 * level
            _box(axes, x, y, f"up {index}\n{dims[level - 1]} x {T // 2**level}")
            start = (x_middle + 0.9, bottom + 0.1) if index == 0 else (x - 0.8, y - 1.02)
            _arrow(axes, start, (x, y - 0.33))
            axes.annotate(
                "",
                (x - 0.9, y),
                (2.3 + 0.8 * level, y),
                arrowprops={"arrowstyle": "-|>", "color": LINES[0].color, "linewidth": 1.6},
            )
            axes.text(
                (x + 1.4 + 0.8 * level) / 2, y + 0.08, "skip", ha="center", fontsize=8.5, color=LINES[0].color
            )
        x_out = x_up + 0.8 * (levels - 1)
        _arrow(axes, (x_out - 0.8, -1.35 + 0.33), (x_out, -0.33))
        _box(axes, x_out, 0, f"final\n{unet.input_dim} x {T}")
        _box(axes, 1.4, 1.25, f"noisy trajectory\n{unet.input_dim} x {T}", width=2.0, color=PALE)
        _arrow(axes, (1.4, 0.92), (1.4, 0.33))
        _box(axes, x_out, 1.25, "predicted noise", width=2.0, color=PALE)
        _arrow(axes, (x_out, 0.33), (x_out, 0.92))
        _box(
            axes, 5.1, 1.25, "step k and global condition:\nFiLM, in every block", width=3.2, color="#e8eef4"
        )
        if unet.local_cond_dim is not None:
            _box(axes, 5.1, 0.3, "local condition, through two encoders", width=3.9, color="#f7e6e8")
            axes.annotate(
                "", (2.3, 0.1), (3.1, 0.3), arrowprops={"arrowstyle": "-|>", "color": LINES[1].color}
            )
            axes.annotate(
                "", (x_out - 0.9, 0.1), (7.1, 0.3),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": LINES[1].color,
                    "linestyle": ":" if unet.reference_compatible else "-",
                },
            )  # fmt: skip
        axes.set(xlim=(0.1, x_out + 1.3), ylim=(bottom - 0.5, 1.7))
        axes.set_axis_off()
        headline(figure, text)
    return figure


def plot_transformer(net: TransformerForDiffusion, text: str) -> Figure:
    """The transformer's tokens and both masks: who may look at whom.

    Args:
        net: one with condition tokens and causal attention.
        text: what the figure says.
    """
    T, S = net.causal_mask.shape[0], net.memory_mask.shape[1]
    actions = [f"a{t}" for t in range(T)]
    memory = ["k", *(f"o{t}" for t in range(S - 1))]
    with house_style():
        figure = new_figure(3.5)
        left, right = figure.subplots(1, 2, width_ratios=(T, S + 2))
        for axes, mask, columns, title in (
            (left, net.causal_mask, actions, "self-attention: a step sees itself and earlier ones"),
            (right, net.memory_mask, memory, "cross-attention to the memory"),
        ):
            values = np.asarray(mask, float)
            axes.imshow(values, cmap="Greys", vmin=0, vmax=4, aspect="auto")
            for (row, column), seen in np.ndenumerate(values):
                axes.text(
                    column, row, "✓" if seen else "", ha="center", va="center", fontsize=7, color="black"
                )
            axes.set_xticks(range(len(columns)), columns)
            axes.set_yticks(range(T), actions)
            axes.set(title=title, xlabel="is looked at", ylabel="looks")
            axes.grid(visible=False)
        headline(figure, text)
    return figure


def plot_gradients(sizes: Mapping[str, Sequence[ArrayLike]], text: str) -> Figure:
    """How large the gradient of each layer is before training, norm first and norm last.

    Args:
        sizes: {name: of several networks, each (layers,)}.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(2.9)
        axes = figure.subplots()
        for (name, runs), line in zip(sizes.items(), LINES, strict=False):
            values = np.asarray(runs, float)  # (networks, layers)
            layers = np.arange(1, values.shape[1] + 1)
            axes.fill_between(layers, values.min(0), values.max(0), color=line.color, alpha=0.18, linewidth=0)
            axes.plot(
                layers,
                values.mean(0),
                color=line.color,
                linestyle=line.linestyle,
                marker=line.marker,
                label=name,
            )
        axes.set(xlabel="layer, from the input on", ylabel="size of the gradient", yscale="log")
        axes.legend(loc="best")
        headline(figure, text)
    return figure
