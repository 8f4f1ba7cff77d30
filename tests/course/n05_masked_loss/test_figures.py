"""Pictures of targets: a rotation that moves, curves that carry their names."""

import io

import numpy as np
import torch
from PIL import Image

from ddpm_edu.course.n05_masked_loss import figures
from ddpm_edu.viz import widgets


def test_frames_of_the_rotation_differ_and_keep_their_size():
    clean, noise = torch.randn(2, 16)
    frames = widgets.render_frames(
        lambda figure, share: figures.draw_rotation(figure, clean, noise, share, "k"), [0.99, 0.5, 0.01]
    )
    assert len({Image.open(io.BytesIO(frame)).size for frame in frames}) == 1
    assert len(set(frames)) == 3


def test_curves_carry_their_names():
    curves = {"epsilon": np.ones(10), "sample": np.zeros(10), "v": np.arange(10)}
    figure = figures.plot_by_level(curves, {"epsilon": 3, "sample": -4, "v": 5}, "loss", "text")
    assert {text.get_text() for text in figure.axes[0].texts} == set(curves)
