"""The measured comparison shows both."""

from ddpm_edu.course.n10_global_conditioning import figures


def test_measurement_shows_successes_of_both():
    row = {"successes": 9, "episodes": 10, "interval_95": [0.6, 0.98]}
    row["action_error"] = {"mean": 0.1, "standard_error": 0.01}
    figure = figures.plot_measurement({"global": row, "inpainting": row | {"successes": 8}}, "text")
    assert [text.get_text() for text in figure.axes[0].texts] == ["9 of 10", "8 of 10"]
    assert [patch.get_width() for patch in figure.axes[0].patches] == [0.9, 0.8]
