"""Pictures of inpainting: paths round an obstacle that are filled in where nothing is given."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import IPython.display
import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import ArrayLike

from ddpm_edu.errors import ConfigError
from ddpm_edu.viz.live import Live
from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure
from ddpm_edu.viz.widgets import WithStill, film_strip, picture_widget

ROWS = ("x", "y", "obstacle")
RADIUS = 0.17


# ------------------------------------------------------------------------------------------------
# drawing
# ------------------------------------------------------------------------------------------------


def draw_paths(
    axes: Axes, paths: ArrayLike, obstacle: float | None, right: ArrayLike | None = None, legend: bool = False
) -> None:
    """Paths seen from above, from the lower end to the upper one.

    Args:
        axes: where.
        paths: (N, T, 2), x and y.
        obstacle: its x, where it is given.
        right: (N,) bool, which paths fit the obstacle; the others are dashed.
        legend: name both kinds.
    """
    paths = np.asarray(paths)
    right = np.ones(len(paths), dtype=bool) if right is None else np.asarray(right)
    if obstacle is not None:
        axes.add_patch(
            Circle((obstacle, 0), RADIUS, facecolor="#c9c9c9", edgecolor=INK, hatch="///", linewidth=1)
        )
    for path, fits in zip(paths, right, strict=True):
        line = LINES[0] if fits else LINES[1]
        axes.plot(*path.T, color=line.color, linestyle=line.linestyle, linewidth=0.9, alpha=0.75)
    if legend:
        for line, name in ((LINES[0], "fits"), (LINES[1], "does not")):
            axes.plot([], [], color=line.color, linestyle=line.linestyle, label=name)
        axes.legend(loc="upper left", handlelength=1.4, borderaxespad=0)
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), xticks=(-1, 0, 1), yticks=(-1, 0, 1), aspect="equal")
    axes.grid(visible=False)


def plot_ways_to_sample(
    ways: Mapping[str, tuple[ArrayLike, ArrayLike]], obstacle: float, text: str, shown: int = 60
) -> Figure:
    """Paths that several ways to sample made for one given obstacle.

    Args:
        ways: {name: (paths (N, T, 2), which of them fit the obstacle (N,))}.
        obstacle: its x.
        text: what the figure says.
        shown: so many paths of each are drawn.
    """
    with house_style():
        figure = new_figure(3.5)
        for axes, (name, (paths, right)) in zip(figure.subplots(1, len(ways)), ways.items(), strict=True):
            draw_paths(axes, paths[:shown], obstacle, right[:shown])
            axes.set_title(f"{name}\nfits: {float(np.asarray(right).mean()):.0%}", pad=4)
            axes.set_anchor("S")  # equal axes are lower than their place: leave the room above them
            axes.set_xlabel("x")
        figure.axes[0].set_ylabel("y", rotation=0)
        headline(figure, text)
    return figure


def draw_filling(
    figure: Figure, samples: ArrayLike, mask: ArrayLike, given: ArrayLike, obstacle_scale: float, title: str
) -> None:
    """One moment of inpainting: what is given, and the trajectories as they are now.

    Args:
        figure: empty, about 7.2 by 3.3 inches.
        samples: (N, T, 3): x, y and the obstacle's entry.
        mask: (T, 3) bool, True where given.
        given: (T, 3) the values under the mask.
        obstacle_scale: the obstacle's x for an entry of 1.
        title: such as "k = 42".
    """
    samples, mask, given = np.asarray(samples), np.asarray(mask), np.asarray(given)
    T = len(mask)
    figure.text(0.02, 0.93, title, fontsize=12, weight="bold")

    grid = figure.add_axes((0.115, 0.4, 0.42, 0.3))
    for t in range(T):
        for row in range(3):
            on = bool(mask[t, row])
            grid.add_patch(
                Rectangle(
                    (t - 0.5, row - 0.5), 1, 1, facecolor="#b9c7d6" if on else "white",
                    edgecolor=LINES[0].color if on else PALE, hatch="////" if on else None, linewidth=0.5,
                )
            )  # fmt: skip
    grid.set(xlim=(-0.5, T - 0.5), ylim=(2.5, -0.5), yticks=range(3), xticks=range(0, T, 5))
    grid.set_yticklabels(ROWS, fontsize=9.5)
    grid.set_xlabel("time step of the trajectory", labelpad=1)
    grid.tick_params(length=0, labelsize=9)
    grid.grid(visible=False)
    grid.spines[:].set_visible(False)
    grid.set_title("hatched: given", fontsize=10)
    figure.text(0.115, 0.14, "squares: given places of the path", fontsize=9, color=GRAY)
    figure.text(0.115, 0.075, "crosses: where each sample puts the obstacle", fontsize=9, color=GRAY)

    axes = figure.add_axes((0.6, 0.13, 0.39, 0.82))
    obstacle_given = mask[:, 2].any()
    obstacle = float(given[mask[:, 2], 2].mean()) * obstacle_scale if obstacle_given else None
    draw_paths(axes, samples[..., :2], obstacle)
    if not obstacle_given:
        places = samples[..., 2].mean(axis=1) * obstacle_scale  # (N,)
        axes.plot(places, np.zeros(len(places)), linestyle="", marker="x", markersize=7, color=LINES[1].color)
    both = mask[:, 0] & mask[:, 1]
    axes.plot(*given[both, :2].T, linestyle="", marker="s", markersize=5, color=INK)
    axes.set_xlabel("x", labelpad=0)
    axes.set_ylabel("y", rotation=0, labelpad=0)
    axes.tick_params(labelsize=9)


def plot_future(
    seen: ArrayLike, truth: ArrayLike, predicted: ArrayLike, ylabel: str, text: str, n_obs_steps: int
) -> Figure:
    """An observation as a policy filled it in, several times, against what came.

    Args:
        seen: (To,) the given values.
        truth: (T,) what came.
        predicted: (N, T) what was filled in.
        ylabel: the observation and its unit.
        text: what the figure says.
        n_obs_steps: To.
    """
    steps = np.arange(len(np.asarray(truth))) - (n_obs_steps - 1)
    with house_style():
        figure = new_figure(3.0)
        axes = figure.subplots()
        for index, values in enumerate(np.asarray(predicted)):
            axes.plot(
                steps, values, color=LINES[0].color, linewidth=1, alpha=0.6,
                label="filled in, 16 samples" if index == 0 else None,
            )  # fmt: skip
        axes.plot(steps, truth, color=LINES[1].color, linestyle="--", linewidth=2.4, label="what really came")
        axes.plot(steps[:n_obs_steps], seen, linestyle="", marker="s", markersize=8, color=INK, label="given")
        axes.set(xlabel="step (0 is now; 20 steps are a second)", ylabel=ylabel)
        axes.legend()
        headline(figure, text)
    return figure


# ------------------------------------------------------------------------------------------------
# moving
# ------------------------------------------------------------------------------------------------


class MaskScrubber(WithStill):
    """What `mask_scrubber` returns: pictures by mask and by step, without asking Python for any.

    Attributes:
        choice: which mask.
        slider: which denoising step.
        stack: a stack of pictures for each mask.
    """

    def __init__(
        self, choice: ipywidgets.Dropdown, slider: ipywidgets.IntSlider, play: ipywidgets.Play,
        stack: ipywidgets.Stack, links: list[Any], still: IPython.display.Image,
    ) -> None:  # fmt: skip
        self.choice, self.slider, self.play, self.stack, self.still = choice, slider, play, stack, still
        self._links = links  # a link that nobody holds is closed
        super().__init__([choice, stack, ipywidgets.HBox([play, slider])])

    def __repr__(self) -> str:
        return f"MaskScrubber({len(self.stack.children)} masks): open the notebook in JupyterLab to move it"


def mask_scrubber(frames: Mapping[str, Sequence[bytes]], start: str, interval_ms: int = 250) -> MaskScrubber:
    """A choice of masks and a slider through the denoising steps, which work without a kernel.

    Args:
        frames: {mask's name: PNG files, one for each step}, the same number for each mask.
        start: the mask that is shown first, at its last step.
        interval_ms: milliseconds for each frame when it plays.

    Raises:
        ConfigError: if masks have different numbers of frames, or `start` is none of them.
    """
    counts = {len(pictures) for pictures in frames.values()}
    if len(counts) != 1 or start not in frames:
        raise ConfigError(
            f"each mask needs equally many frames, found {sorted(counts)}; start is {start!r}, "
            f"masks are {list(frames)}"
        )
    last = counts.pop() - 1
    layout = ipywidgets.Layout(width="720px", max_width="100%")
    stacks = [
        ipywidgets.Stack(
            [picture_widget(picture, layout) for picture in pictures],
            selected_index=last,
        )
        for pictures in frames.values()
    ]
    index = list(frames).index(start)
    stack = ipywidgets.Stack(stacks, selected_index=index)
    choice = ipywidgets.Dropdown(
        options=list(frames), index=index, description="given:", layout=ipywidgets.Layout(width="420px")
    )
    play = ipywidgets.Play(min=0, max=last, value=last, interval=interval_ms)
    slider = ipywidgets.IntSlider(
        min=0, max=last, value=last, description="denoised", readout=False,
        layout=ipywidgets.Layout(width="600px", max_width="100%"),
    )  # fmt: skip
    links = [
        ipywidgets.jslink((play, "value"), (slider, "value")),
        ipywidgets.jslink((choice, "index"), (stack, "selected_index")),
        *(ipywidgets.jslink((slider, "value"), (inner, "selected_index")) for inner in stacks),
    ]
    results = [pictures[-1] for pictures in frames.values()]
    shown = range(min(4, len(results)))
    given = "; ".join(list(frames)[: len(shown)])
    still = film_strip(results, shown, columns=1, about=f"What is given, from above: {given}")
    return MaskScrubber(choice, slider, play, stack, links, still)


def mask_painter(samples: ArrayLike, truth: ArrayLike, obstacle_scale: float, mask: ArrayLike) -> Live:
    """The world of this notebook in the page itself: paint what is given by dragging over the grid.

    It denoises in JavaScript, so that it answers while one paints, and also without a kernel.

    Args:
        samples: (N, T, 3) what is filled in at first, for the still.
        truth: (T, 3) the values of given entries in the still.
        obstacle_scale: the obstacle's x for an entry of 1.
        mask: (T, 3) bool, what is given in the still.
    """
    with house_style():
        figure = Figure(figsize=(7.2, 3.3), dpi=100)
        canvas = FigureCanvasAgg(figure)
        title = f"{int(np.asarray(mask).sum())} of {np.asarray(mask).size} entries given"
        draw_filling(figure, samples, mask, truth, obstacle_scale, title)
        file = io.BytesIO()
        canvas.print_png(file)
    alternative = "A mask of three rows and sixteen steps, and the paths filled in where nothing is given."
    return Live("table", file.getvalue(), alternative, {"leftShare": 0.7})
