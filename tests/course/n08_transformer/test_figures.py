"""Figures of notebook 08 say what the arrays hold."""

import numpy as np
import torch
from matplotlib.figure import Figure

from ddpm_edu.course.n08_transformer import figures


def test_hatched_cells_are_those_that_may_be_looked_at():
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    figure = figures.plot_token_masks({"causal": (mask, list("abcd"))}, "title")
    hatched = {
        (round(patch.get_y() + 0.5), round(patch.get_x() + 0.5))
        for patch in figure.axes[0].patches
        if patch.get_hatch()
    }
    assert hatched == {(row, column) for row in range(4) for column in range(row + 1)}


def test_maps_are_drawn_layer_by_layer():
    actions, known = np.random.default_rng(0).random((2, 5, 5)), np.random.default_rng(1).random((2, 5, 3))
    figure = Figure()
    figures.draw_attention(figure, list(actions), list(known), ["k", "o0", "o1"], "k = 3")
    *panels, bar = figure.axes
    assert bar.get_ylabel() == "attention weight"
    drawn = [np.asarray(axes.images[0].get_array()) for axes in panels]
    for shown, given in zip(drawn, [*actions, *known], strict=True):
        np.testing.assert_array_equal(shown, given)


def test_a_line_joins_the_two_runs_of_a_seed():
    runs = [
        {"action": "delta", "causal": causal, "seed": seed, "validation_loss": loss, "action_error": 2 * loss}
        for seed, causal, loss in ((0, True, 0.1), (0, False, 0.3), (1, True, 0.2))
    ]
    figure = figures.plot_mask_comparison(runs, "title")
    joined = [line.get_ydata() for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert [list(values) for values in joined] == [[0.1, 0.3]]
