"""The figures of reports and notebooks. Each says one thing, and says it in its headline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from ddpm_edu.errors import ConfigError
from ddpm_edu.simulation.results import RolloutResult
from ddpm_edu.tasks import get_task
from ddpm_edu.viz.denoising import Denoising
from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure


def learning_curve(log: Sequence[Mapping[str, Any]]) -> Figure:
    """How the loss fell.

    Args:
        log: the entries of a run's log, each with "step" and "loss" or "validation_loss".

    Raises:
        ConfigError: if the log holds no loss.
    """
    training = _series(log, "loss")
    if not training:
        raise ConfigError("the log holds no loss; has the run logged anything yet?")
    validation = _series(log, "validation_loss")
    with house_style():
        figure = new_figure(height=3.4)
        axes = figure.add_subplot()
        steps, losses = zip(*training, strict=True)
        axes.plot(steps, losses, color=LINES[0].color, label="training")
        if validation:
            valid_steps, valid_losses = zip(*validation, strict=True)
            line = LINES[1]
            axes.plot(
                valid_steps, valid_losses, color=line.color, linestyle=line.linestyle, marker=line.marker,
                markerfacecolor="white", label="held-out demonstrations, averaged weights",
            )  # fmt: skip
            axes.legend(loc="upper right")
        axes.set_yscale("log")
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("denoising loss (log scale)")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        low, high = axes.get_ylim()
        falls = high > 4 * low
        digits = "25" if falls else "23456789"  # a loss that hardly falls would have no label at all
        if validation and not falls:
            axes.set_ylim(low, high * (high / low) ** 0.3)  # nor a corner for the legend
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: _beginning_with(digits, value)))
        axes.tick_params(axis="y", which="minor", labelsize=8.5, labelcolor=GRAY)
        axes.margins(x=0.01)
        headline(figure, f"The loss fell from {losses[0]:.2g} to {losses[-1]:.2g} in {steps[-1]:,} steps")
    return figure


def _beginning_with(digits: str, value: float) -> str:
    return f"{value:g}" if f"{value:e}"[0] in digits else ""


def _series(log: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    return [(entry["step"], entry[key]) for entry in log if np.isfinite(entry.get(key, np.nan))]


def denoising_trajectory(denoising: Denoising, columns: int = 5) -> Figure:
    """One action trajectory on its way from noise to a plan.

    Args:
        denoising: see `watch_denoising`.
        columns: levels of noise to show, the first and the last always among them.

    Raises:
        ConfigError: if the actions are not the simulator's seven.
    """
    task, trajectories = denoising.task, denoising.trajectories
    levels, T, Da = trajectories.shape
    if Da != task.action_dim:
        raise ConfigError(
            f"the actions have {Da} entries; this figure shows the simulator's {task.action_dim}"
        )
    scale = np.asarray(task.action_scale) * ([100] * 3 + [np.rad2deg(1)] * 3 + [1])
    shown = np.unique(np.linspace(0, levels - 1, min(columns, levels)).round().astype(int))
    time = (np.arange(T) - (denoising.n_obs_steps - 1)) / task.control_frequency  # (T,) s, 0 is now
    half = 0.5 / task.control_frequency
    executed = (-half, denoising.n_action_steps / task.control_frequency - half)
    rows = (
        ("move the hand\n(cm per step)", slice(0, 3), "xyz"),
        ("turn the hand\n(degrees per step)", slice(3, 6), "xyz"),
        ("gripper", slice(6, 7), ("command",)),
    )
    with house_style():
        figure = new_figure(height=4.9)
        grid = figure.subplots(len(rows), len(shown), sharex=True, sharey="row", squeeze=False)
        for column, level in enumerate(shown):
            k = denoising.timesteps[level]
            title = "result" if k < 0 else f"k = {k}" + (", noise" if column == 0 else "")
            grid[0, column].set_title(title, loc="center", fontweight="bold" if k < 0 else "normal")
            for axes, (_, entries, names) in zip(grid[:, column], rows, strict=True):
                axes.axvspan(*executed, color="#f1f1f1", linewidth=0)
                axes.axhline(0, color=PALE, linewidth=0.8)
                values = trajectories[level, :, entries] * scale[entries]  # (T, 1 or 3)
                for line, name, value in zip(LINES, names, values.T, strict=False):
                    axes.plot(
                        time, value, color=line.color, linestyle=line.linestyle, linewidth=1.5, label=name
                    )
        for axes, (label, _, _) in zip(grid[:, 0], rows, strict=True):
            axes.set_ylabel(label)
        for axes, (_, _, names) in zip(grid[:, -1], rows, strict=True):
            if len(names) > 1:
                axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.8)
        grid[2, 0].set_yticks([-1, 0, 1], ["open  \N{MINUS SIGN}1", "0", "close  1"])
        figure.supxlabel("time from now (s); shaded: the actions that are executed", fontsize=10.5)
        headline(figure, f"{levels - 1} steps turn noise into a plan for the next {T} actions")
    return figure


def success_rates(results: Mapping[str, RolloutResult]) -> Figure:
    """Success rates with their 95 % intervals, one row for each result.

    Args:
        results: rollouts by the name under which they are shown.
    """
    with house_style():
        figure = new_figure(height=0.95 + 0.5 * len(results))
        axes = figure.add_subplot()
        for row, result in enumerate(results.values()):
            low, high = result.interval
            axes.barh(row, result.success_rate, height=0.55, color=PALE, edgecolor=GRAY, linewidth=0.8)
            axes.plot([low, high], [row, row], color=INK, linewidth=2.2, solid_capstyle="butt")
            axes.plot([low, low, high, high], [row] * 4, color=INK, marker="|", markersize=11, linestyle="")
            text = f"{result.success_rate:.0%}  ({result.successes} of {len(result.episodes)})"
            axes.text(1.02, row, text, va="center", transform=axes.get_yaxis_transform())
        axes.set_yticks(range(len(results)), list(results))
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("episodes that succeed, with 95 % interval")
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
    return figure


def episode_lengths(result: RolloutResult) -> Figure:
    """When each episode ended, and how: one mark for each.

    Args:
        result: a rollout.
    """
    task = get_task(result.task)
    seconds = np.array([episode.length for episode in result.episodes]) / task.control_frequency
    success = np.array([episode.success for episode in result.episodes])
    limit = task.max_steps / task.control_frequency
    width = limit / 40
    height = np.zeros(41, int)
    marks: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    for index in np.argsort(~success, kind="stable"):  # successes stand below failures
        place = min(int(seconds[index] / width), 40)
        height[place] += 1
        marks[bool(success[index])].append(((place + 0.5) * width, height[place]))
    with house_style():
        figure = new_figure(height=1.5 + 0.11 * max(5, height.max()))
        axes = figure.add_subplot()
        for outcome, marker, face, name in ((True, "o", INK, "success"), (False, "X", "white", "failure")):
            if marks[outcome]:
                x, y = zip(*marks[outcome], strict=True)
                axes.plot(
                    x, y, linestyle="", marker=marker, markersize=7, markerfacecolor=face,
                    markeredgecolor=INK, label=f"{name} ({len(x)})",
                )  # fmt: skip
        axes.set_xlim(0, limit + width)
        axes.set_ylim(0, max(5, height.max()) + 0.8)
        axes.set_xlabel(f"when the episode ended (s; the limit is {limit:g} s)")
        axes.set_ylabel("episodes")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper center", ncols=2)
        median = f"; half of them within {np.median(seconds[success]):.1f} s" if success.sum() > 1 else ""
        headline(figure, f"{success.sum()} of {len(success)} episodes succeeded{median}")
    return figure
