"""Widgets that need no kernel, and a mask painted by hand."""

import numpy as np
import pytest

from ddpm_edu.course.n09_inpainting import figures
from ddpm_edu.errors import ConfigError
from ddpm_edu.viz import widgets


@pytest.fixture
def frames():
    return [
        widgets.render_frames(lambda figure, k: figure.text(0, 0, str(k)), range(3), (1, 1)) for _ in "ab"
    ]


def test_mask_scrubber_links_every_stack_in_the_browser(frames):
    widget = figures.mask_scrubber({"one": frames[0], "two": frames[1]}, start="two")
    assert widget.stack.selected_index == 1
    assert [inner.selected_index for inner in widget.stack.children] == [2, 2]
    linked = {(link.source[0], link.target[0]) for link in widget._links}
    assert {(widget.slider, inner) for inner in widget.stack.children} <= linked
    assert (widget.choice, widget.stack) in linked


def test_mask_scrubber_refuses_unequal_frames(frames):
    with pytest.raises(ConfigError, match="equally many"):
        figures.mask_scrubber({"one": frames[0], "two": frames[1][:2]}, start="one")


def test_painting_an_entry_fills_in_with_the_new_mask():
    asked = []

    def fill(mask):
        asked.append(mask)
        return np.full((4, 6, 3), len(asked) / 10)

    painter = figures.MaskPainter(fill, np.zeros((6, 3)), 0.5, np.zeros((6, 3), dtype=bool))
    before = painter.picture.value
    painter.buttons[2][1].value = True  # the obstacle at step 1
    assert [int(mask.sum()) for mask in asked] == [0, 1]
    assert asked[1][1, 2]
    assert painter.picture.value != before
