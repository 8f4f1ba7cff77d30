"""Masks, targets, inpainting and conditioning: what pictures show, and widgets that need no kernel."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_edu.diffusion.masking import make_condition_mask
from ddpm_edu.errors import ConfigError
from ddpm_edu.viz import conditioning, inpainting, masks, targets, widgets


def test_masks_hatch_exactly_what_is_given():
    mask = make_condition_mask(1, 8, 2, 3, n_obs_steps=2)[0]
    figure = masks.plot_condition_masks({"policy": mask}, 2, "text")
    hatched = sum(patch.get_hatch() is not None for patch in figure.axes[0].patches)
    assert hatched == int(mask.sum()) == 6


def test_frames_of_the_rotation_differ_and_keep_their_size():
    clean, noise = torch.randn(2, 16)
    frames = widgets.render_frames(
        lambda figure, share: targets.draw_rotation(figure, clean, noise, share, "k"), [0.99, 0.5, 0.01]
    )
    assert len({Image.open(io.BytesIO(frame)).size for frame in frames}) == 1
    assert len(set(frames)) == 3


def test_curves_carry_their_names():
    curves = {"epsilon": np.ones(10), "sample": np.zeros(10), "v": np.arange(10)}
    figure = targets.plot_by_level(curves, {"epsilon": 3, "sample": -4, "v": 5}, "loss", "text")
    assert {text.get_text() for text in figure.axes[0].texts} == set(curves)


@pytest.fixture
def frames():
    return [
        widgets.render_frames(lambda figure, k: figure.text(0, 0, str(k)), range(3), (1, 1)) for _ in "ab"
    ]


def test_mask_scrubber_links_every_stack_in_the_browser(frames):
    widget = inpainting.mask_scrubber({"one": frames[0], "two": frames[1]}, start="two")
    assert widget.stack.selected_index == 1
    assert [inner.selected_index for inner in widget.stack.children] == [2, 2]
    linked = {(link.source[0], link.target[0]) for link in widget._links}
    assert {(widget.slider, inner) for inner in widget.stack.children} <= linked
    assert (widget.choice, widget.stack) in linked


def test_mask_scrubber_refuses_unequal_frames(frames):
    with pytest.raises(ConfigError, match="equally many"):
        inpainting.mask_scrubber({"one": frames[0], "two": frames[1][:2]}, start="one")


def test_painting_an_entry_fills_in_with_the_new_mask():
    asked = []

    def fill(mask):
        asked.append(mask)
        return np.full((4, 6, 3), len(asked) / 10)

    painter = inpainting.MaskPainter(fill, np.zeros((6, 3)), 0.5, np.zeros((6, 3), dtype=bool))
    before = painter.picture.value
    painter.buttons[2][1].value = True  # the obstacle at step 1
    assert [int(mask.sum()) for mask in asked] == [0, 1]
    assert asked[1][1, 2]
    assert painter.picture.value != before


def test_measurement_shows_successes_of_both():
    row = {"successes": 9, "episodes": 10, "interval_95": [0.6, 0.98]}
    row["action_error"] = {"mean": 0.1, "standard_error": 0.01}
    figure = conditioning.plot_measurement({"global": row, "inpainting": row | {"successes": 8}}, "text")
    assert [text.get_text() for text in figure.axes[0].texts] == ["9 of 10", "8 of 10"]
    assert [patch.get_width() for patch in figure.axes[0].patches] == [0.9, 0.8]
