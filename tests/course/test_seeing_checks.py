"""Notebook 11's checks: each known mistake gets its own message, and right answers pass in any style."""

import pytest
import torch

from ddpm_edu.course import checks
from ddpm_edu.course.checks.seeing import CROP_MISTAKES, IMAGE_MISTAKES, SOFTMAX_MISTAKES
from ddpm_edu.course.diagnosis import CheckFailed


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


CHECKS = (checks.image_to_input, checks.random_crop, checks.spatial_softmax)


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
    check(function)
    assert capsys.readouterr().out.startswith(f"{check.__name__}: correct.")


def with_tensor(function):
    """The listed crops take the size as a tensor; the check hands students an int."""
    return lambda images, uniform, size: function(images, uniform, torch.tensor(size))


LISTED = [
    *((checks.image_to_input, m, m.function) for m in IMAGE_MISTAKES),
    *((checks.random_crop, m, with_tensor(m.function)) for m in CROP_MISTAKES),
    *((checks.spatial_softmax, m, m.function) for m in SOFTMAX_MISTAKES),
]


@pytest.mark.parametrize(("check", "mistake", "function"), LISTED, ids=[m.name for _, m, _ in LISTED])
def test_every_listed_mistake_is_named(check, mistake, function):
    with pytest.raises(CheckFailed) as caught:
        check(function)
    assert f"Your function {mistake.name}.\n" in str(caught.value)
    assert mistake.hint in str(caught.value)


def stub(*arguments):
    raise NotImplementedError("write it here")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("function", [stub, lambda *a: None, lambda *a: 0.5, lambda *a: torch.zeros(1)])
def test_stubs_and_constants_fail(check, function):
    with pytest.raises(CheckFailed, match="not yet"):
        check(function)
