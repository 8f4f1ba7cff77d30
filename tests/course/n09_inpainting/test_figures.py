"""Widgets that need no kernel, and a mask painted by hand."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

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


def test_the_painter_comes_with_a_picture_for_where_scripts_do_not_run():
    painter = figures.mask_painter(np.zeros((4, 6, 3)), np.zeros((6, 3)), 0.5, np.zeros((6, 3), dtype=bool))
    data, words = painter._repr_mimebundle_()
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size == (720, 330)
    alternative = words["image/png"]["alt"]
    assert f'alt="{alternative}"' in data["text/html"]
    assert "ddpmEdu.liveTable(" in data["text/html"]
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", data["text/html"])
