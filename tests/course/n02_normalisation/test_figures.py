"""Frames of the turning hand keep their places; figures say what their axes show."""

import matplotlib.figure
import numpy as np

from ddpm_edu.course.n02_normalisation import figures


def test_frames_do_not_jump_and_show_the_numbers():
    places = []
    for angle, quaternion, six in (
        (0, [0, 0, 0, 1], [1, 0, 0, 0, 1, 0]),
        (90, [0, 0, 0.7, 0.7], [0, -1, 0, 1, 0, 0]),
    ):
        figure = matplotlib.figure.Figure(figsize=(7.4, 2.9))
        figures.draw_turn(figure, angle, quaternion, six)
        figure.canvas.draw()
        places.append(
            [(axes.get_position().bounds, axes.get_xlim(), axes.get_ylim()) for axes in figure.axes]
        )
        assert [bar.get_height() for bar in figure.axes[1].patches] == quaternion
        assert [bar.get_height() for bar in figure.axes[2].patches] == six
    assert places[0] == places[1]


def test_figures_have_headlines_and_labels():
    turn = figures.plot_turn(np.arange(0, 360, 30), np.zeros((12, 4)), np.zeros((12, 6)), "text")
    ranges = figures.plot_ranges({"a": (0, 1), "b": (0, 0.1)}, "text")
    for figure in (turn, ranges):
        assert figure.get_suptitle() == "text"
        assert all(axes.get_xlabel() for axes in figure.axes)
