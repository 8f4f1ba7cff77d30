import numpy as np
import pytest
from matplotlib.figure import Figure

from ddpm_edu.simulation.intervals import wilson_interval
from ddpm_edu.viz.evaluation import draw_growing_interval, draw_learning

OUTCOMES = [True, False, True, True, False, True]


@pytest.mark.parametrize("n", [1, 4, 6])
def test_an_interval_grows_with_the_episodes_that_were_played(n):
    figure = Figure()
    draw_growing_interval(figure, OUTCOMES, n)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    rates = np.cumsum(OUTCOMES[:n]) / np.arange(1, n + 1)
    np.testing.assert_allclose(lines["observed rate"].get_ydata(), rates)
    assert len(lines["one success"].get_xdata()) == sum(OUTCOMES[:n])
    assert len(lines["one failure"].get_xdata()) == n - sum(OUTCOMES[:n])
    low, high = wilson_interval(sum(OUTCOMES[:n]), n)
    assert figure.texts[0].get_text().startswith(f"{sum(OUTCOMES[:n])} of {n}: {low:.0%} to {high:.0%}")
    assert axes.get_xlim()[1] > len(OUTCOMES)  # stands still while the slider moves


def test_a_checkpoint_is_shown_with_the_loss_until_then_and_all_its_starts():
    training = [(step, 1 / step) for step in range(5, 31, 5)]
    held_out = [(step, 2 / step) for step in (10, 20, 30)]
    played = [(10, "-" * 12), (20, "+-" * 6), (30, "+" * 12)]
    for index, (step, outcomes) in enumerate(played):
        figure = Figure()
        draw_learning(figure, training, held_out, played, index)
        losses, field = figure.axes
        assert [line.get_xdata().max() for line in losses.lines] == [step, step]
        assert losses.get_xlim()[1] > 30
        shown = {line.get_label(): len(line.get_xdata()) for line in field.lines}
        wins = outcomes.count("+")
        assert shown == {f"succeeded ({wins})": wins, f"failed ({12 - wins})": 12 - wins}
        assert figure.texts[0].get_text().startswith(f"step {step}: {wins} of 12 starts succeed")
