"""Pictures of conditioning: what each way reaches, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ddpm_edu.viz.style import LINES, PALE, headline, house_style, new_figure


def plot_reach(reach: Mapping[str, ArrayLike], text: str) -> Figure:
    """How strongly each action step of one prediction depends on the observations, all on one scale.

    Args:
        reach: {conditioning: (T,) size of the gradient}.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.1)
        all_axes = figure.subplots(1, len(reach), sharey=True)
        for axes, (name, values), line in zip(all_axes, reach.items(), LINES, strict=False):
            values = np.asarray(values)
            axes.plot(
                np.arange(len(values)), values, color=line.color, linestyle=line.linestyle, marker=line.marker
            )
            axes.set(title=name.replace(", ", ",\n"), xlabel="step of the\ntrajectory", yscale="log")
            axes.axvspan(len(values) - 4.5, len(values) - 0.5, color=PALE, alpha=0.5, linewidth=0)
        all_axes[0].set_ylabel("dependence on the observations\n(gradient, one log scale)")
        headline(figure, text)
    return figure


def plot_learning(steps: ArrayLike, errors: Mapping[str, ArrayLike], text: str) -> Figure:
    """The error of the actions over training, of several seeds each.

    Args:
        steps: (n,) training steps.
        errors: {conditioning: (seeds, n)}.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.2)
        axes = figure.subplots()
        for name, values in errors.items():
            line = LINES[0] if name == "global" else LINES[1]
            values = np.asarray(values)
            axes.fill_between(steps, values.min(0), values.max(0), color=line.color, alpha=0.18, linewidth=0)
            axes.plot(
                steps, values.mean(0), color=line.color, linestyle=line.linestyle, marker=line.marker,
                label=name,
            )  # fmt: skip
        axes.set(xlabel="training steps", ylabel="squared error of the actions", ylim=(0, None))
        axes.legend(loc="upper right")
        headline(figure, text)
    return figure


def plot_measurement(policies: Mapping[str, Mapping[str, Any]], text: str) -> Figure:
    """Success in the simulator with its interval, and the error of actions on held-out demonstrations.

    Args:
        policies: {conditioning: a row of data/measurements/conditioning.json}.
        text: what the figure says.
    """
    names = list(policies)
    with house_style():
        figure = new_figure(2.9)
        left, right = figure.subplots(1, 2)
        for place, name in enumerate(names):
            row = policies[name]
            hatch = None if name == "global" else "///"
            rate = row["successes"] / row["episodes"]
            low, high = row["interval_95"]
            for axes, value, below, above, label in (
                (left, rate, rate - low, high - rate, f"{row['successes']} of {row['episodes']}"),
                (
                    right,
                    row["action_error"]["mean"],
                    2 * row["action_error"]["standard_error"],
                    2 * row["action_error"]["standard_error"],
                    f"{row['action_error']['mean']:.3f}",
                ),
            ):
                axes.barh(
                    place, value, color=LINES[0].color if hatch is None else PALE, hatch=hatch,
                    edgecolor=LINES[0].color, xerr=[[below], [above]], capsize=4, height=0.55,
                    error_kw={"ecolor": LINES[1].color, "elinewidth": 2},
                )  # fmt: skip
                axes.annotate(
                    label, (0, place), xytext=(6, 0), textcoords="offset points", va="center", weight="bold",
                    color="white" if hatch is None else "black",
                    bbox=None if hatch is None else {"facecolor": "white", "edgecolor": "none", "pad": 1.5},
                )  # fmt: skip
        left.set(title="success, 100 starts (bar: 95 % interval)", xlabel="share of episodes", xlim=(0, 1.02))
        right.set(
            title="error of actions, held out (bar: 2 std. errors)", xlabel="mean |action - demonstrated|"
        )
        for axes in (left, right):
            axes.set(yticks=range(len(names)), ylim=(len(names) - 0.5, -0.5))
            axes.grid(visible=False)
        left.set_yticklabels(names)
        right.set_yticklabels([])
        headline(figure, text)
    return figure


def draw_two_policies(figure: Figure, samples: Mapping[str, ArrayLike], truth: ArrayLike, title: str) -> None:
    """One moment of denoising: the same action entry as two policies see it come.

    Args:
        figure: empty, about 7.2 by 3 inches.
        samples: {conditioning: (N, T) one entry of the action}.
        truth: (T,) the demonstrator's.
        title: such as "after 3 of 10 steps".
    """
    figure.text(0.02, 0.92, title, fontsize=12, weight="bold")
    steps = np.arange(len(np.asarray(truth)))
    for place, (name, values) in enumerate(samples.items()):
        axes = figure.add_axes((0.09 + 0.47 * place, 0.17, 0.42, 0.62))
        axes.plot(steps, np.asarray(values).T, color=LINES[0].color, linewidth=0.8, alpha=0.6)
        axes.plot(steps, truth, color=LINES[1].color, linestyle="--", linewidth=2.4)
        axes.set(xlim=(0, steps[-1]), xticks=range(0, len(steps), 5), ylim=(-2.2, 2.2))
        axes.set(title=f"{name} (dashed: demonstrated)")
        axes.set_xlabel("step of the trajectory")
        axes.tick_params(labelleft=place == 0)
        if place == 0:
            axes.set_ylabel("hand up (action)", labelpad=0)
