"""One picture of a file of demonstrations: film strips where it has images, else the paths of the hand."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
from matplotlib.figure import Figure

from ddpm_edu.data.hdf5 import get_member, open_hdf5, read_into
from ddpm_edu.data.validation import data_group, demonstration_names
from ddpm_edu.files import refuse_foreign_file, write_atomically
from ddpm_edu.tasks import ACTION_LABELS
from ddpm_edu.viz.style import GRAY, INK, LINES, headline, house_style, new_figure

_STRIPS, _MOMENTS, _PATHS = 6, 8, 60
_MADE_BY = "ddpm-edu contact sheet"


def contact_sheet(path: str | Path, out: str | Path) -> None:
    """Draws a file's contact sheet as a PNG.

    Args:
        path: a robomimic HDF5 file.
        out: the picture to write.

    Raises:
        DatasetError: if the file is missing or broken.
        ConfigError: if `out` is there and no contact sheet.
    """
    out = Path(out)
    refuse_foreign_file(out, b"\x89PNG", _MADE_BY.encode(), "contact sheet")
    with open_hdf5(Path(path), "name a robomimic HDF5 file, such as those in data/") as file, house_style():
        data = data_group(file)
        names = demonstration_names(data)
        groups = [get_member(data, name, h5py.Group, "a demonstration is a group") for name in names]
        obs = groups[0]["obs"] if groups[0].get("obs", getclass=True) is h5py.Group else {}
        cameras = [key for key in obs if key.endswith("_image")]
        if cameras:
            figure = _film_strips(_spread(groups, _STRIPS), cameras)
        elif "robot0_eef_pos" in obs:
            figure = _paths(_spread(groups, _PATHS), len(groups))
        else:
            figure = _actions(groups[0])
    picture = io.BytesIO()
    with house_style():
        figure.savefig(picture, format="png", metadata={"Software": _MADE_BY})
    with write_atomically(out) as file:
        file.write(picture.getvalue())


def _spread(groups: list[h5py.Group], count: int) -> list[h5py.Group]:
    """At most `count` demonstrations, evenly from the first to the last."""
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(count, len(groups))).round().astype(int))
    return [groups[index] for index in chosen]


def _read(group: h5py.Group, *names: str) -> np.ndarray:
    for name in names[:-1]:
        group = get_member(group, name, h5py.Group, "the first demonstration has it")
    dataset = get_member(group, names[-1], h5py.Dataset, "the first demonstration has it")
    values = np.empty(dataset.shape, dataset.dtype)
    read_into(dataset, values)
    return values


def _film_strips(groups: list[h5py.Group], cameras: list[str]) -> Figure:
    rows = len(groups) * len(cameras)
    figure = new_figure(height=0.5 + 1.02 * rows)
    axes = figure.subplots(rows, _MOMENTS, squeeze=False, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    for row, (group, camera) in enumerate((group, camera) for group in groups for camera in cameras):
        images = _read(group, "obs", camera)  # (N, H, W, 3)
        moments = np.linspace(0, len(images) - 1, _MOMENTS).round().astype(int)
        for axis, moment in zip(axes[row], moments, strict=True):
            axis.imshow(images[moment])
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            if row % len(cameras) == 0:
                axis.set_title(f"step {moment}", fontsize=8, color=GRAY, pad=2)
        name = group.name.rsplit("/", 1)[-1]
        view = camera.removesuffix("_image").removeprefix("robot0_").replace("_", " ")
        axes[row][0].set_ylabel(f"{name}\n{view}", fontsize=8.5)
    headline(figure, f"{len(groups)} demonstrations, from their first step to their last")
    return figure


def _paths(groups: list[h5py.Group], total: int) -> Figure:
    figure = new_figure(height=4.2)
    top, side = figure.subplots(1, 2)
    for group in groups:
        place = _read(group, "obs", "robot0_eef_pos")  # (N, 3)
        for axis, height in ((top, 1), (side, 2)):
            axis.plot(place[:, 0], place[:, height], color=LINES[0].color, linewidth=0.7, alpha=0.45)
            axis.plot(*place[0, [0, height]], marker="o", markersize=3, color=INK)
            axis.plot(*place[-1, [0, height]], marker="x", markersize=4, color=LINES[1].color)
    top.set(title="from above", xlabel="x (m)", ylabel="y (m)", aspect="equal")
    side.set(title="from the side", xlabel="x (m)", ylabel="z, height (m)", aspect="equal")
    headline(figure, f"The hand's path in {len(groups)} of {total} demonstrations: from dot to cross")
    return figure


def _actions(group: h5py.Group) -> Figure:
    actions = _read(group, "actions")  # (N, Da)
    actions = actions.reshape(len(actions), -1)
    figure = new_figure(height=0.6 + 0.85 * actions.shape[1])
    axes = figure.subplots(actions.shape[1], 1, sharex=True, squeeze=False)[:, 0]
    labels = ACTION_LABELS if actions.shape[1] == len(ACTION_LABELS) else range(actions.shape[1])
    for axis, values, label in zip(axes, actions.T, labels, strict=True):
        axis.plot(values, color=LINES[0].color, linewidth=1)
        axis.set_ylabel(str(label))
    axes[-1].set_xlabel("step")
    headline(figure, f"The actions of {group.name.rsplit('/', 1)[-1]}; the file holds no observations")
    return figure
