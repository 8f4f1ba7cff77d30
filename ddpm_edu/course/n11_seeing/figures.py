"""Pictures of seeing: the encoder's shapes, crops, and where a network looks in a camera's picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from ddpm_edu.data.actions import quaternion_to_matrix
from ddpm_edu.errors import ConfigError
from ddpm_edu.viz.overlay import Camera
from ddpm_edu.viz.style import GRAY, INK, LINES, PALE, headline, house_style, new_figure

_MUJOCO_FOVY = 45.0  # degrees: MuJoCo's default, which a model's text leaves out
_SQUARE: dict[str, Any] = {
    "marker": "s", "markersize": 15, "markerfacecolor": "none", "markeredgecolor": "white",
    "markeredgewidth": 2,
}  # fmt: skip


def fixed_camera(model_xml: str, name: str, height: int, width: int) -> Camera:
    """A camera that stands still, from the text of a simulator's model: no simulator is started.

    Args:
        model_xml: MuJoCo's model, such as the attribute `model_file` of a demonstration.
        name: such as "agentview".
        height: of its pictures, in pixels.
        width: of its pictures, in pixels.

    Raises:
        ConfigError: if the model is not XML, or no camera of this name hangs on the world itself.
    """
    try:
        world = ElementTree.fromstring(model_xml).find("worldbody")
    except ElementTree.ParseError as error:
        raise ConfigError(f"model_file is not XML ({error}); read it from a demonstration") from error
    cameras = {} if world is None else {camera.get("name"): camera for camera in world.findall("camera")}
    if name not in cameras:
        raise ConfigError(f"the model has no fixed camera {name!r}; it has {sorted(map(str, cameras))}")
    found = cameras[name]
    position = np.array(found.get("pos", "0 0 0").split(), dtype=np.float64)
    w, x, y, z = (float(value) for value in found.get("quat", "1 0 0 0").split())
    rotation = quaternion_to_matrix(torch.tensor([x, y, z, w], dtype=torch.float64)).numpy()
    return Camera(position, rotation, float(found.get("fovy", _MUJOCO_FOVY)), height, width)


def plot_encoder(stages: Mapping[str, Sequence[int]], text: str) -> Figure:
    """What a picture becomes on its way through the encoder.

    Args:
        stages: {name of the stage: (C, H, W) of a map, or (n, 2) or (n,) of what is no longer one}.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(2.0)
        axes = figure.add_subplot()
        widest = max(shape[-1] for shape in stages.values() if len(shape) == 3)
        for place, (name, shape) in enumerate(stages.items()):
            if len(shape) == 3:
                side = 0.9 * shape[-1] / widest
                axes.add_patch(
                    Rectangle((place - side / 2, 0), side, side, facecolor=PALE, edgecolor=INK, linewidth=1)
                )
                size = f"{shape[0]} {'maps' if shape[0] > 3 else 'colours'}\n{shape[1]} x {shape[2]}"
            else:
                size = f"{shape[0]} points\n(x, y)" if len(shape) == 2 else f"{shape[0]}\nnumbers"
                marks = min(shape[0], 16)
                axes.plot(
                    np.full(marks, place), np.linspace(0.05, 0.85, marks), linestyle="",
                    marker="+" if len(shape) == 2 else "_", color=LINES[0].color, markersize=7,
                )  # fmt: skip
            axes.text(place, -0.06, size, ha="center", va="top", fontsize=9)
            axes.text(place, 0.97, name, ha="center", va="bottom", fontsize=9, weight="bold")
        axes.set(xlim=(-0.55, len(stages) - 0.45), ylim=(-0.4, 1.15), aspect="equal")
        axes.axis("off")
        headline(figure, text)
    return figure


def plot_crops(image: ArrayLike, offsets: Mapping[str, ArrayLike], size: int, free: int, text: str) -> Figure:
    """Windows in a picture, and how often each offset is drawn.

    Args:
        image: uint8 (H, W, 3).
        offsets: {whose: (n, 2) rows and columns of windows' upper left corners}.
        size: of the windows, in pixels.
        free: the largest offset that fits.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(3.3)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.7))
        _show(left, image)
        for row, column in np.asarray(next(iter(offsets.values())))[:6]:
            left.add_patch(Rectangle((column - 0.5, row - 0.5), size, size, fill=False, edgecolor="white"))
        middle = free / 2 - 0.5
        dashed = {"edgecolor": LINES[1].color, "linewidth": 2.5, "linestyle": "--"}
        left.add_patch(Rectangle((middle, middle), size, size, fill=False, **dashed))
        left.set_title("six random windows (white),\nthe centre one (dashed)")
        bar = 0.8 / len(offsets)
        for index, (name, drawn) in enumerate(offsets.items()):
            share = np.bincount(np.asarray(drawn)[:, 0], minlength=free + 1) / len(drawn)
            at = np.arange(free + 1) - 0.4 + bar * (index + 0.5)
            right.bar(
                at, 100 * share, bar, label=name, color=LINES[index].color,
                hatch=("", "///")[index % 2], edgecolor="white",
            )  # fmt: skip
        right.set(
            xlabel="first row of the window, pixels", ylabel="% of the windows", xticks=range(free + 1),
            ylim=(0, 17),
        )  # fmt: skip
        right.legend(loc="upper left", ncols=2)
        headline(figure, text)
    return figure


def plot_resolution(place: ArrayLike, found: Mapping[str, ArrayLike], cells: ArrayLike, text: str) -> Figure:
    """Where a spatial softmax says that something is, against where it is.

    Args:
        place: (n,) pixels.
        found: {kind of map: (n,) pixels}.
        cells: (w,) pixels of the cells' centres.
        text: what the figure says.
    """
    place, cells = np.asarray(place), np.asarray(cells)
    with house_style():
        figure = new_figure(3.5)
        axes = figure.subplots()
        axes.plot(place, place, color=PALE, linewidth=5, label="where it is")
        for (name, values), line in zip(found.items(), LINES, strict=False):
            axes.plot(place, values, color=line.color, linestyle=line.linestyle, label=name)
        for cell in cells:
            axes.axhline(cell, color=GRAY, linewidth=0.8, linestyle=(0, (1, 3)))
        axes.text(place.max(), cells.max() + 1, "last cell", ha="right", va="bottom", fontsize=9, color=GRAY)
        axes.set(xlabel="true column in the crop, pixels", ylabel="column found, pixels", ylim=(-6, None))
        axes.grid(visible=False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        headline(figure, text)
    return figure


def plot_errors(errors: Mapping[str, Mapping[str, Sequence[float]]], label: str, text: str) -> Figure:
    """Errors in pixels: a bar for the mean over seeds, a dot for each seed.

    Args:
        errors: {row: {kind: one error for each seed}}; every row has the same kinds.
        label: of the axis.
        text: what the figure says.
    """
    kinds = list(next(iter(errors.values())))
    high = 0.8 / len(kinds)
    with house_style():
        figure = new_figure(0.9 + 0.42 * len(errors) * max(len(kinds), 1.3))
        axes = figure.subplots()
        largest = max(max(values) for row in errors.values() for values in row.values())
        for row, by_kind in enumerate(errors.values()):
            for index, kind in enumerate(kinds):
                values = np.asarray(by_kind[kind], dtype=float)
                at = row - 0.4 + high * (index + 0.5)
                axes.barh(
                    at, values.mean(), 0.9 * high, color=LINES[index].color, alpha=0.75,
                    hatch=("", "///", "...")[index % 3], edgecolor="white", label=None if row else kind,
                )  # fmt: skip
                axes.plot(values, np.full(len(values), at), "o", color=INK, markersize=4)
                axes.text(
                    values.max() + 0.02 * largest, at, f"{values.mean():.1f}", va="center", fontsize=9.5
                )
        axes.set(xlabel=label, yticks=range(len(errors)), yticklabels=list(errors), xlim=(0, 1.12 * largest))
        axes.invert_yaxis()
        axes.grid(visible=False)
        if len(kinds) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        headline(figure, text)
    return figure


def plot_keypoints(image: ArrayLike, points: Mapping[str, ArrayLike], hand: ArrayLike, text: str) -> Figure:
    """Where keypoints go during a demonstration, over its first picture.

    Args:
        image: uint8 (H, W, 3).
        points: {panel: (T, n, 2) columns and rows in pixels}.
        hand: (T, 2) where the hand is.
        text: what the figure says.
    """
    with house_style():
        figure = new_figure(4.2)
        for axes, (name, values) in zip(figure.subplots(1, len(points)), points.items(), strict=True):
            _show(axes, image)
            axes.plot(*np.asarray(hand).T, color="white", linewidth=2.5)
            for keypoint, path in enumerate(np.moveaxis(np.asarray(values), 1, 0)):
                line = LINES[keypoint % len(LINES)]
                axes.plot(*path.T, color=line.color, linewidth=1.5)
                axes.plot(
                    *path[-1], marker=line.marker, color=line.color, markeredgecolor="white", markersize=7
                )
            axes.set_title(name)
        headline(figure, text)
    return figure


def plot_pictures(
    images: Sequence[ArrayLike],
    titles: Sequence[str],
    text: str,
    maps: Sequence[ArrayLike] | None = None,
    marks: Sequence[ArrayLike] | None = None,
) -> Figure:
    """Pictures side by side.

    Args:
        images: each uint8 (H, W, 3).
        titles: of the panels.
        text: what the figure says.
        maps: each (H, W) from 0, which darkens the picture, to 1, which leaves it as it is; a line goes
            round what is above 0.5.
        marks: each (2,), column and row of a square.
    """
    with house_style():
        figure = new_figure(0.75 + 7.6 / len(images))
        for index, axes in enumerate(figure.subplots(1, len(images), squeeze=False)[0]):
            picture = np.asarray(images[index])
            if maps is not None:
                shade = 0.4 + 0.6 * np.asarray(maps[index])[..., None]
                picture = (picture * shade).astype(np.uint8)
            _show(axes, picture)
            if maps is not None:
                axes.contour(np.asarray(maps[index]), levels=[0.5], colors="white", linewidths=1.5)
            if marks is not None:
                axes.plot(*np.asarray(marks[index]), **_SQUARE)
            axes.set_title(titles[index])
        headline(figure, text)
    return figure


def draw_keypoints(
    figure: Figure, image: ArrayLike, points: ArrayLike, found: ArrayLike, hand: ArrayLike, title: str
) -> None:
    """One frame of a demonstration with a network's keypoints, its answer, and the truth.

    Args:
        figure: empty, about 4 by 4.3 inches.
        image: uint8 (H, W, 3).
        points: (n, 2) keypoints, columns and rows in pixels.
        found: (2,) the network's answer.
        hand: (2,) the truth.
        title: what the frame shows.
    """
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.87))
    _show(axes, image)
    axes.plot(*np.asarray(points).T, linestyle="", marker="o", color=LINES[2].color, markeredgecolor="white",
              markersize=7)  # fmt: skip
    axes.plot(*np.asarray(hand), **_SQUARE)
    axes.plot(*found, marker="x", color=LINES[1].color, markersize=11, markeredgewidth=3)
    figure.text(0.02, 0.945, title, fontsize=11, weight="bold", va="center")


def _show(axes: Axes, image: ArrayLike) -> None:
    """The picture, pixel centres at whole numbers, with limits that nothing drawn on it moves."""
    picture = np.asarray(image)
    axes.imshow(picture)
    height, width = picture.shape[:2]
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
