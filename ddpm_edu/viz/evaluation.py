"""The figures of notebooks 12, 14 and 15: what a number of successes says, and what not to read into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from ddpm_edu.simulation.intervals import wilson_interval
from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure


def plot_intervals(rows: Mapping[str, tuple[float, float, float]], title: str) -> Figure:
    """Success rates with their intervals, one row for each.

    Args:
        rows: rate, lower and upper end, by name.
        title: what the figure says.
    """
    with house_style():
        figure = new_figure(height=1.2 + 0.42 * len(rows))
        axes = figure.add_subplot()
        for place, (rate, low, high) in enumerate(rows.values()):
            axes.plot([low, high], [place, place], color=INK, linewidth=2.2, solid_capstyle="butt")
            axes.plot([low, high], [place, place], color=INK, marker="|", markersize=12, linestyle="")
            axes.plot(rate, place, color=LINES[0].color, marker="o", markersize=8, clip_on=False)
            axes.text(1.03, place, f"{rate:.0%} ({low:.0%} to {high:.0%})", va="center",
                      transform=axes.get_yaxis_transform())  # fmt: skip
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 1.01)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("episodes that succeed: observed rate and 95 % interval")
        headline(figure, title)
    return figure


def draw_growing_interval(figure: Figure, outcomes: Sequence[bool], n: int) -> None:
    """What the first n episodes of an evaluation say, and what those before said.

    Args:
        figure: empty, about 7.2 by 3.4 inches.
        outcomes: whether each episode succeeded; all of the evaluation.
        n: how many have been played, at least one.
    """
    played = np.arange(1, n + 1)
    successes = np.cumsum(np.asarray(outcomes[:n], dtype=int))
    ends = np.array([wilson_interval(int(k), int(count)) for k, count in zip(successes, played, strict=True)])
    with house_style():
        axes = figure.add_axes((0.1, 0.16, 0.87, 0.7))
        axes.fill_between(played, *ends.T, color=PALE, step="mid", label="95 % interval (Wilson)")
        axes.plot(played, successes / played, color=LINES[0].color, label="observed rate")
        axes.plot([n, n], ends[-1], color=INK, linewidth=2.2, marker="_", markersize=10)
        for happened, mark, height in ((True, "|", -0.05), (False, "x", -0.12)):
            there = [i + 1 for i in range(n) if bool(outcomes[i]) is happened]
            label = "one success" if happened else "one failure"
            axes.plot(there, [height] * len(there), linestyle="", marker=mark, color=INK, markersize=5,
                      label=label)  # fmt: skip
        axes.set_xlim(0, len(outcomes) + 1)
        axes.set_ylim(-0.17, 1.02)
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("episodes played")
        axes.set_ylabel("episodes that succeed")
        axes.legend(loc="lower right", ncols=2, bbox_to_anchor=(1, 0.17))
        low, high = ends[-1]
        title = f"{successes[-1]} of {n}: {low:.0%} to {high:.0%}, {high - low:.0%} wide"
        figure.text(0.02, 0.93, title, fontsize=12, weight="bold")


def draw_learning(
    figure: Figure,
    training: Sequence[tuple[int, float]],
    held_out: Sequence[tuple[int, float]],
    played: Sequence[tuple[int, str]],
    index: int,
) -> None:
    """The loss until a checkpoint, and what that checkpoint did at every start.

    Args:
        figure: empty, about 7.2 by 3.2 inches.
        training: (step, loss), of the whole run.
        held_out: (step, loss) likewise.
        played: of each checkpoint the step, and "+" or "-" for every start.
        index: of the checkpoint.
    """
    step, outcomes = played[index]
    with house_style():
        axes = figure.add_axes((0.1, 0.17, 0.42, 0.66))
        for name, values, line, mark in (
            ("training", training, GRAY, ""),
            ("held out", held_out, LINES[0].color, LINES[0].marker),
        ):
            x, y = np.array([value for value in values if value[0] <= step]).T
            axes.semilogy(x, y, color=line, marker=mark, label=name)
        axes.set_xlim(0, played[-1][0] * 1.03)
        losses = [loss for _, loss in (*training, *held_out)]
        axes.set_ylim(0.9 * min(losses), 1.1 * max(losses))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("loss (mean squared error)")
        axes.legend(loc="upper right")

        field = figure.add_axes((0.57, 0.05, 0.42, 0.72))
        columns = 10
        for mark, shape in (("+", "o"), ("-", "x")):
            places = np.array([i for i, outcome in enumerate(outcomes) if outcome == mark], dtype=int)
            color = LINES[0].color if mark == "+" else GRAY
            name = "succeeded" if mark == "+" else "failed"
            field.plot(places % columns, -(places // columns), linestyle="", marker=shape, markersize=9,
                       color=color, label=f"{name} ({len(places)})")  # fmt: skip
        rows = -(-len(outcomes) // columns)
        field.set_xlim(-0.6, columns - 0.4)
        field.set_ylim(-rows + 0.4, 0.6)
        field.set_axis_off()
        field.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        successes = outcomes.count("+")
        low, high = wilson_interval(successes, len(outcomes))
        title = f"step {step:,}: {successes} of {len(outcomes)} starts succeed ({low:.0%} to {high:.0%})"
        figure.text(0.02, 0.93, title, fontsize=12, weight="bold")


def plot_chunk_lengths(lengths: Sequence[int], errors: Mapping[str, Sequence[float]], title: str) -> Figure:
    """How far off the hand is, by the number of actions between two looks.

    Args:
        lengths: values of Ta.
        errors: mean distances, one for each length, by what is shown.
        title: what the figure says.
    """
    with house_style():
        figure = new_figure(height=3.2)
        axes = figure.add_subplot()
        for line, (name, values) in zip(LINES, errors.items(), strict=False):
            axes.plot(
                lengths, values, color=line.color, linestyle=line.linestyle, marker=line.marker, label=name
            )
        axes.set_xticks(list(lengths))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Ta: actions executed before it looks again")
        axes.set_ylabel("mean distance to the target")
        axes.legend(loc="upper left")
        headline(figure, title)
    return figure


def plot_luckiest(single: np.ndarray, luckiest: np.ndarray, truth: float, title: str) -> Figure:
    """What one checkpoint shows, and what the best of several shows, when all are equally good.

    Args:
        single: observed rates of one checkpoint, many times over (N,).
        luckiest: observed rates of the best of several (N,).
        truth: the true rate of all.
        title: what the figure says.
    """
    with house_style():
        figure = new_figure(height=3.2)
        axes = figure.add_subplot()
        bins = np.arange(0.61, 1.03, 0.02)
        axes.hist(single, bins=bins, density=True, color=PALE, edgecolor=GRAY, label="one checkpoint")
        axes.hist(luckiest, bins=bins, density=True, histtype="step", color=INK, hatch="///",
                  linewidth=1.5, label="the luckiest of ten")  # fmt: skip
        axes.axvline(truth, color=LINES[1].color, linestyle="--", label="the truth, for all of them")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_yticks([])
        axes.set_xlabel("observed success in 50 episodes")
        axes.legend(loc="upper left")
        headline(figure, title)
    return figure
