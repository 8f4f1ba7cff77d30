"""A figure's headline is its alternative text, beside the picture that a notebook draws."""

from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure

from ddpm_edu.viz.style import headline, new_figure


def shown(figure):
    """Data and metadata as a notebook keeps them, drawn the way %matplotlib inline draws figures."""
    formatter = DisplayFormatter()
    formatter.active_types = formatter.format_types
    formatter.formatters["image/png"].for_type(Figure, lambda shown: print_figure(shown, "png"))
    return formatter.format(figure)


def test_a_headline_is_the_alternative_text():
    figure = new_figure(2)
    figure.subplots()
    headline(figure, "The loss falls")
    data, metadata = shown(figure)
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata == {"image/png": {"alt": "The loss falls"}}


def test_without_a_headline_there_is_only_the_picture():
    figure = new_figure(2)
    figure.subplots()
    data, metadata = shown(figure)
    assert "image/png" in data
    assert metadata == {}
