"""The picture of the experts' diversity says what the shipped demonstrations hold."""

from __future__ import annotations

import io
from pathlib import Path

from ddpm_edu.viz.experts import figure_of_experts

DATA = Path(__file__).parents[2] / "data"


def test_counts_ways_grasps_and_turns() -> None:
    figure = figure_of_experts(DATA / "can_low_dim.hdf5", DATA / "square_low_dim.hdf5")
    headline = figure.get_suptitle()
    assert headline.startswith("Two ways round the can (106 and 94 of 200), 2 grasps and 3 turns of the nut")
    around, grasp, peg = figure.axes
    assert len(around.lines) == 201  # every way, and the can
    markers = {line.get_marker() for line in grasp.lines}
    assert len(markers) == 2  # told apart without colour
    turns = {round(turn / 90) % 4 for line in peg.lines for turn in line.get_ydata()}
    assert turns == {1, 2, 3}
    figure.savefig(io.BytesIO())
