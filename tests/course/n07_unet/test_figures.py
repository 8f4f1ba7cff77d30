"""Figures of notebook 07 say what the arrays hold."""

import numpy as np
import torch
from matplotlib.figure import Figure

from ddpm_edu.course.n07_unet import figures
from ddpm_edu.denoisers.blocks import SinusoidalPosEmb


def test_reach_counts_the_steps_that_matter():
    near = np.eye(9) + np.eye(9, k=1) + np.eye(9, k=-1)
    figure = Figure()
    figures.draw_reach(figure, {"three": near, "all": np.ones((9, 9))}, step=4)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["three: hears 3 of 9 steps", "all: hears 9 of 9 steps"]
    figures.draw_reach(figure := Figure(), {"three": near}, step=0)
    assert figure.axes[0].get_title() == "three: hears 2 of 9 steps"


def test_the_compared_step_is_most_like_itself():
    figure = figures.plot_step_embedding(SinusoidalPosEmb(16)(torch.arange(40)), 20, "title")
    likeness = figure.axes[1].lines[0].get_ydata()
    assert likeness.argmax() == 20
    np.testing.assert_allclose(likeness[20], 1, atol=1e-6)


def test_levels_are_as_long_as_their_steps():
    figure = figures.plot_levels([("in", 7, 8), ("down", 16, 4)], "title")
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == [8, 4]
    assert "16 channels x 4 steps" in [text.get_text() for text in figure.axes[0].texts]
