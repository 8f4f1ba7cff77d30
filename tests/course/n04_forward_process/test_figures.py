"""Frames of the noised path keep their places and limits; every axis says what it shows."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ddpm_edu.course.n04_forward_process import figures

CLEAN = np.stack([np.linspace(-0.5, 0.5, 16), np.linspace(0.9, -0.9, 16), np.zeros(16)], axis=1)  # (T, 3)
NOISED = CLEAN + np.random.default_rng(0).standard_normal(CLEAN.shape) * 2


def frame(draw, *arguments):
    figure = Figure(figsize=(7.2, 3.6))
    draw(figure, *arguments)
    return figure


@pytest.mark.parametrize(
    "figures",
    [
        [
            frame(figures.draw_noised_path, CLEAN, noised, share, "k")
            for noised, share in ((CLEAN, 1.0), (NOISED, 0.2))
        ],
        [frame(figures.draw_from_the_side, CLEAN, noised, "k") for noised in (CLEAN, NOISED)],
    ],
    ids=["space", "side"],
)
def test_frames_do_not_jump(figures):
    places = [
        [(axes.get_position().bounds, axes.get_xlim(), axes.get_ylim()) for axes in figure.axes]
        for figure in figures
    ]
    assert places[0] == places[1]


def test_shares_of_the_variance_are_written_at_every_level():
    for share in (1.0, 0.5, 0.1, 0.0):
        figure = frame(figures.draw_noised_path, CLEAN, NOISED, share, "k")
        texts = [text.get_text() for text in figure.axes[-1].texts]
        assert f"signal: alpha_bar = {share:.2f}" in texts
        assert share > 0.8 or f"noise: {1 - share:.2f}" in texts


def test_signal_to_noise_marks_the_last_step_with_more_signal():
    axes = figures.plot_signal_to_noise([100, 10, 1.1, 0.3, 0.01], "text").axes[0]
    assert [text.get_text() for text in axes.texts] == ["k = 2: signal = noise"]


@pytest.mark.parametrize(
    "figure",
    [
        figures.plot_path(CLEAN, [0, 5, 15], "text"),
        figures.plot_signal_left(
            {"one": [0.9, 0.5, 0.1], "two": [0.8, 0.4, 0.0]}, "text", {"one": 1, "two": 0}
        ),
        figures.plot_signal_to_noise([100, 1, 0.01], "text"),
        figures.plot_two_ways(np.zeros((2, 10)), [0, 0], [1, 1], [3, 7], "text"),
    ],
    ids=["path", "signal left", "signal to noise", "two ways"],
)
def test_figures_say_what_they_show(figure):
    assert figure.get_suptitle() == "text"
    assert all(axes.get_xlabel() for axes in figure.axes)
    assert figure.axes[0].get_ylabel()
