"""The picture of notebook 18, and the report that a student takes home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ddpm_edu.files import write_atomically
from ddpm_edu.viz.style import LINES, PALE, headline, house_style, new_figure


def plot_loss(losses: Sequence[float], text: str, window: int = 20) -> Figure:
    """The loss of every training step, and its running mean.

    Args:
        losses: one number for each step.
        text: what the figure says.
        window: steps in the running mean.
    """
    values = np.asarray(losses)
    window = min(window, len(values))
    mean = np.convolve(values, np.ones(window) / window, mode="valid")
    with house_style():
        figure = new_figure(2.8)
        axes = figure.subplots()
        axes.plot(np.arange(1, len(values) + 1), values, color=PALE, linewidth=1, label="each step")
        axes.plot(
            np.arange(window, len(values) + 1), mean, color=LINES[0].color, label=f"mean of {window} steps"
        )
        axes.set(xlabel="training step", ylabel="denoising loss", ylim=(0, None))
        axes.legend(loc="upper right")
        headline(figure, text)
    return figure


def write_report(
    folder: Path, name: str, facts: Mapping[str, str], answers: Mapping[str, str], figure: Figure | None
) -> Path:
    """Writes a student's report: what was built, measured and thought, as Markdown beside its picture.

    Args:
        folder: made if it is not there; an older report in it is replaced.
        name: whose report it is.
        facts: what was measured, by its description.
        answers: what the student wrote, by question.
        figure: the loss while training, or None.

    Returns:
        The file.
    """
    lines = [f"# A diffusion policy, built by {name}", "", "| | |", "|---|---|"]
    lines += [f"| {what} | {value} |" for what, value in facts.items()]
    if figure is not None:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / "loss.png")
        lines += ["", "![The loss of every training step, falling](loss.png)"]
    for question, answer in answers.items():
        lines += ["", f"## {question}", "", answer.strip() or "*(not answered yet)*"]
    path = folder / "report.md"
    with write_atomically(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
    return path
