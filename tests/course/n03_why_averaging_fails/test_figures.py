"""Pictures of two ways: frames keep their limits, sides are told by dashes, and axes say what they show."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ddpm_edu.course.n03_why_averaging_fails import figures
from ddpm_edu.viz.style import LINES

X = np.linspace(-0.9, 0.9, 16)
LEFT = np.stack([X, 0.6 - 0.6 * X**2], axis=1)  # (T, 2)
RIGHT = LEFT * [1, -1]
WAYS = np.stack([LEFT, RIGHT, RIGHT])  # (N, T, 2)
NOISE = np.random.default_rng(0).standard_normal((5, 16, 2)) * 2


@pytest.mark.parametrize("small", [False, True])
def test_frames_do_not_jump(small):
    places = []
    for ways in (NOISE, WAYS):
        figure = Figure(figsize=(7.2, 4.2))
        figures.draw_forming(figure, ways, ways[:, -1, 0] > 0, 0.3, "k = 3", small)
        places.append(
            [(axes.get_position().bounds, axes.get_xlim(), axes.get_ylim()) for axes in figure.axes]
        )
    assert places[0] == places[1]


def test_left_is_full_and_right_dashed_where_the_obstacle_is():
    hooked = RIGHT.copy()
    hooked[-3:, 1] = 0.7  # it ends on the left, but it passed on the right
    figure = figures.plot_tables([figures.Table("three", np.stack([LEFT, RIGHT, hooked]))], 0.3, "text")
    styles = [line.get_linestyle() for line in figure.axes[0].lines]
    assert styles == [LINES[0].linestyle, LINES[1].linestyle, LINES[1].linestyle]


def test_a_start_s_samples_are_told_by_where_they_end():
    start = figures.Start("one", [[[0, 0], [0.1, -0.01], [0.2, 0.05]]], [[0, 0], [0.2, 0.01]], None)
    figure = figures.plot_starts([start], (0.1, 0.02), "text")
    assert figure.axes[0].lines[0].get_linestyle() == LINES[0].linestyle


def test_the_least_cost_is_marked():
    places = np.linspace(-1, 1, 21)
    axes = figures.plot_cost(places, {"half": (places - 0.3) ** 2}, (0.6, -0.6), 0.2, "text").axes[0]
    marked = [line.get_xdata() for line in axes.lines if line.get_marker() == LINES[0].marker]
    assert np.allclose(marked, 0.3)


def test_the_mean_of_samples_is_drawn_as_their_mean():
    samples = np.array([[0.1, -0.1, 0.3], [0.2, 0.2, 0.2]])
    axes = figures.plot_asides(samples, [0.3, -0.2], [0.0, 0.1], [0.67, 1.0], "text").axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert np.allclose(drawn["mean of the samples"], [0.1, 0.2])
    assert np.allclose(drawn["regression"], [0.0, 0.1])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["67%", "100%"]


@pytest.mark.parametrize(
    "figure",
    [
        figures.plot_tables([figures.Table("a", WAYS, LEFT), figures.Table("b", WAYS)], 0.3, "text"),
        figures.plot_cost(X, {"half": X**2}, (0.6, -0.6), 0.3, "text"),
        figures.plot_starts([figures.Start("a", WAYS / 9, LEFT / 9, RIGHT / 9)], (0.1, 0.02), "text"),
        figures.plot_asides(np.zeros((2, 4)), [0.1, 0.1], [0, 0], [0.5, 0.5], "text"),
        figures.plot_agreement([0, 4, 8], [0.5, 0.7, 1.0], "text"),
    ],
    ids=["tables", "cost", "starts", "asides", "agreement"],
)
def test_figures_say_what_they_show(figure):
    assert figure.get_suptitle() == "text"
    assert all(axes.get_xlabel() for axes in figure.axes)
    assert figure.axes[0].get_ylabel()
