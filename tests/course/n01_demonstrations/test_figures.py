"""Frames of the window widgets keep their places and say what they show."""

import matplotlib.figure
import numpy as np
import pytest

from ddpm_edu.course.n01_demonstrations import figures

HEIGHT = np.sin(np.linspace(0, 6, 40))  # (L,)


def drawn(draw, *arguments):
    figure = matplotlib.figure.Figure(figsize=(7.6, 3.9))
    draw(figure, *arguments)
    return figure


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [
        text.get_text() for text in figure.texts
    ]


@pytest.mark.parametrize(
    ("draw", "cases"),
    [
        (figures.draw_window, [(HEIGHT, start, 16, 2, 8) for start in (-1, 10, 31)]),
        (figures.draw_decisions, [(16, 2, n_action_steps) for n_action_steps in (1, 8, 16)]),
    ],
    ids=["window", "decisions"],
)
def test_frames_do_not_jump(draw, cases):
    places = [
        [(axes.get_position().bounds, axes.get_xlim(), axes.get_ylim()) for axes in drawn(draw, *case).axes]
        for case in cases
    ]
    assert places[0] == places[1] == places[2]


@pytest.mark.parametrize(("start", "padded"), [(-1, 1), (10, 0), (31, 7)])
def test_a_window_hatches_what_it_repeats(start, padded):
    figure = drawn(figures.draw_window, HEIGHT, start, 16, 2, 8)
    assert f"window from step {start}: {padded} of 16 steps are padding" in texts(figure)
    predicted = [patch for patch in figure.axes[1].patches if patch.get_y() == pytest.approx(0.58)]
    assert sum(patch.get_hatch() is not None for patch in predicted) == padded
    rows = np.clip(start + np.arange(16), 0, len(HEIGHT) - 1)
    assert [text for text in texts(figure) if text.isdigit()] == [
        str(row) for row in (*rows[:2], *rows, *rows[1:9])
    ]


def test_horizons_that_do_not_fit_show_the_arithmetic():
    assert any("2 - 1 + 16 = 17" in text for text in texts(drawn(figures.draw_decisions, 16, 2, 16)))
    fits = drawn(figures.draw_decisions, 16, 2, 8)
    assert "Ta = 8: 6 decisions in 48 steps" in texts(fits)
    assert len(fits.axes[0].patches) == 6 * 3


@pytest.mark.parametrize(
    "figure",
    [figures.plot_roles(16, 2, 8, "text"), figures.plot_seam(HEIGHT[:16], 8, "text")],
    ids=["roles", "seam"],
)
def test_figures_have_a_headline_and_labels(figure):
    assert figure.get_suptitle() == "text"
    assert all(axes.get_xlabel() for axes in figure.axes)
