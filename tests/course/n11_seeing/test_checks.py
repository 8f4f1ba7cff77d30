"""Notebook 11's checks: right answers pass in any style (test_checks.py has the wrong ones)."""

import pytest
import torch
from exercise_checks import assert_passes

from ddpm_edu.course import checks


def image_moved(image):
    return 2 * (image.movedim(-1, 1).double() / 255) - 1


def image_einsum(image):
    return torch.einsum("nhwc->nchw", image.float()) / 127.5 - 1


def crop_loop(images, uniform, size):
    free = torch.tensor(images.shape[-2:]) - size + 1
    offsets = (uniform * free).long().tolist()
    return torch.stack(
        [im[:, r : r + size, c : c + size] for im, (r, c) in zip(images, offsets, strict=True)]
    )


def crop_unfold(images, uniform, size):
    windows = images.unfold(2, size, 1).unfold(3, size, 1)
    top, left = (uniform[:, 0] * windows.shape[2]).long(), (uniform[:, 1] * windows.shape[3]).long()
    return windows[torch.arange(len(images)), :, top, left]


def softmax_einsum(features):
    weights = features.flatten(2).softmax(-1).view_as(features)
    x, y = torch.linspace(-1, 1, features.shape[3]), torch.linspace(-1, 1, features.shape[2])
    return torch.stack(
        [torch.einsum("nchw,w->nc", weights, x), torch.einsum("nchw,h->nc", weights, y)], dim=-1
    )


def softmax_loop(features):
    n, c, height, width = features.shape
    out = torch.zeros(n, c, 2)
    total = features.exp().sum((2, 3))
    for row in range(height):
        for column in range(width):
            weight = features[:, :, row, column].exp() / total
            out[..., 0] += weight * (2 * column / (width - 1) - 1)
            out[..., 1] += weight * (2 * row / (height - 1) - 1)
    return out


@pytest.mark.parametrize(
    ("check", "function"),
    [
        (checks.image_to_input, image_moved),
        (checks.image_to_input, image_einsum),
        (checks.random_crop, crop_loop),
        (checks.random_crop, crop_unfold),
        (checks.spatial_softmax, softmax_einsum),
        (checks.spatial_softmax, softmax_loop),
    ],
)
def test_right_answers_pass_in_any_style(check, function, capsys):
    assert_passes(check, function, capsys)
