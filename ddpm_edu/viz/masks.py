"""Pictures of condition masks: which entries of a trajectory are given, and which the policy fills in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure


def plot_condition_masks(masks: Mapping[str, ArrayLike], action_dim: int, text: str) -> Figure:
    """Masks as they lie in memory, turned so that time runs to the right.

    Args:
        masks: {title: (T, Da+Do) bool, True where given}; at most three.
        action_dim: Da: the first so many rows are actions.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.5)
        for index, (axes, (title, mask)) in enumerate(
            zip(np.atleast_1d(figure.subplots(1, len(masks), sharey=True)), masks.items(), strict=True)
        ):
            draw_mask(axes, np.asarray(mask), action_dim, names=index == 0)
            axes.set_title(title)
            axes.set_xlabel("time step of the trajectory")
        figure.text(
            0.99, 0.015, "hatched: given, no loss     white: denoised, counts", ha="right", color=GRAY,
            fontsize=9.5,
        )  # fmt: skip
        figure.get_layout_engine().set(rect=(0, 0.06, 1, 0.94))
        headline(figure, text)
    return figure


def draw_mask(axes: Axes, mask: np.ndarray, action_dim: int, names: bool = True) -> None:
    """One mask (T, D): hatched where given; actions above, observations below."""
    T, D = mask.shape
    for t in range(T):
        for d in range(D):
            given = bool(mask[t, d])
            axes.add_patch(
                Rectangle(
                    (t - 0.5, d - 0.5), 1, 1,
                    facecolor="#b9c7d6" if given else "white",
                    edgecolor=LINES[0].color if given else PALE,
                    hatch="////" if given else None,
                    linewidth=0.4,
                )
            )  # fmt: skip
    axes.axhline(action_dim - 0.5, color=INK, linewidth=1.4)
    axes.set(xlim=(-0.5, T - 0.5), ylim=(D - 0.5, -0.5), xticks=range(0, T, 5))
    axes.grid(visible=False)
    axes.set_yticks([(action_dim - 1) / 2, (action_dim + D - 1) / 2])
    if names:
        axes.set_yticklabels(
            [f"action\nDa = {action_dim}", f"observation\nDo = {D - action_dim}"], fontsize=9.5
        )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
