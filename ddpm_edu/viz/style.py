"""One look for every figure: labelled axes, few lines, readable without colour and at GitHub's width."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

INK, GRAY, PALE = "#1a1a1a", "#6b6b6b", "#d9d9d9"
WIDTH = 8.0
"""Inches. At 110 dots per inch, a picture on GitHub is so wide: font sizes are what is seen there."""


class Line(NamedTuple):
    """How one of several lines is told apart: by dash and brightness first, by hue only then."""

    color: str
    linestyle: str
    marker: str


LINES = (
    Line("#12355b", "-", "o"),  # luminance 17 %
    Line("#d1495b", "--", "s"),  # 36 %
    Line("#2a9d8f", ":", "^"),  # 49 %
    Line("#8d6b94", "-.", "D"),  # 44 %
)

_SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "normal",
    "axes.labelsize": 10.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRAY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "grid.color": "#ececec",
    "grid.linewidth": 0.8,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "text.color": INK,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 160,  # sharp on dense screens
}


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """The look of the course's figures, for what is drawn inside; matplotlib's settings come back after."""
    with matplotlib.rc_context(_SETTINGS):
        yield


class HouseFigure(Figure):
    """A figure whose headline is also its alternative text, for who does not see it."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        # No data, only metadata: the notebook draws the picture as it draws every figure, and keeps the text
        # in the output's metadata, where JupyterLab and our pages find it.
        text = self.get_suptitle()
        return {}, {"image/png": {"alt": text}} if text else {}


def new_figure(height: float, width: float = WIDTH) -> HouseFigure:
    """An empty figure, without pyplot: it belongs to who made it and needs no closing.

    Args:
        height: inches.
        width: inches.
    """
    return HouseFigure(figsize=(width, height), layout="constrained")


def headline(figure: Figure, text: str) -> None:
    """What the figure says, at its upper left; a notebook shows it as the alternative text, too."""
    figure.suptitle(text, x=0.01, ha="left")
