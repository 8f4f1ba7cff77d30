"""Checks of notebook 11: pixels for the network, random crops and spatial softmax, and known mistakes."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function


def image_to_input(function: Function) -> None:
    """Checks `function(image (N, H, W, 3) uint8) -> (N, 3, H, W)` from -1 to 1.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, 5, 5, 3), generator=generator, dtype=torch.uint8)
    check_function(
        "image_to_input",
        function,
        _image_to_input,
        IMAGE_MISTAKES,
        [{"image": image}, {"image": image[:1, :4] // 2}],
        "Black is -1, white is 1, and colours come first.",
    )


def _image_to_input(image: Tensor) -> Tensor:
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1  # (N, 3, H, W)


def _scaled(image: Tensor, divisor: float, shift: float) -> Tensor:
    return image.permute(0, 3, 1, 2).float() / divisor + shift  # (N, 3, H, W)


IMAGE_MISTAKES = (
    Mistake(
        "scales to 0 ... 1",
        lambda image: _scaled(image, 255, 0),
        "The encoder was promised -1 to 1: times 2, minus 1.",
    ),
    Mistake(
        "keeps 0 ... 255", lambda image: _scaled(image, 1, 0), "Divide by 255 before you scale to -1 ... 1."
    ),
    Mistake(
        "divides by 128, so that white is not 1",
        lambda image: _scaled(image, 128, -1),
        "uint8 ends at 255: half of it is 127.5.",
    ),
    Mistake(
        "subtracts while still uint8, which wraps around",
        lambda image: (image * 2 - 1).permute(0, 3, 1, 2).float() / 255,
        "Call .float() first: uint8 has no negative numbers.",
    ),
    Mistake(
        "mirrors the picture: height and width are swapped",
        lambda image: _scaled(image, 127.5, -1).mT,
        "permute(0, 3, 1, 2) keeps rows before columns.",
    ),
    Mistake(
        "leaves the colours last",
        lambda image: image.float() / 127.5 - 1,
        "Convolutions want (N, 3, H, W): permute(0, 3, 1, 2).",
    ),
    Mistake(
        "reshapes where axes must be permuted",
        lambda image: (image.float() / 127.5 - 1).reshape(len(image), 3, image.shape[1], image.shape[2]),
        "reshape keeps the order in memory and mixes colours with places. permute turns axes.",
    ),
)


def random_crop(function: Function) -> None:
    """Checks `function(images (N, C, H, W), uniform (N, 2), size) -> (N, C, size, size)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 2, 7, 10, generator=generator)
    uniform = torch.tensor([[0.99, 0.99], [0.0, 0.0], [0.3, 0.8], [0.6, 0.1], [0.95, 0.4], [0.5, 0.7]])
    check_function(
        "random_crop",
        function,
        _random_crop,
        CROP_MISTAKES,
        [{"images": images[:n], "uniform": uniform[:n], "size": size} for n, size in ((6, 5), (3, 4))],
        "Every frame has its own window, and every window its chance.",
    )


def _random_crop(images: Tensor, uniform: Tensor, size: int) -> Tensor:
    crops = []
    for image, (row, column) in zip(images, uniform, strict=True):
        top = int(row * (image.shape[1] - size + 1))
        left = int(column * (image.shape[2] - size + 1))
        crops.append(image[:, top : top + size, left : left + size])
    return torch.stack(crops)  # (N, C, size, size)


def _crop(
    images: Tensor, uniform: Tensor, size: int, extra: int = 1, one: bool = False, swap: bool = False
) -> Tensor:
    crops, n = [], size
    for index, image in enumerate(images):
        row, column = uniform[0 if one else index].tolist()
        if swap:
            row, column = column, row
        top = int((image.shape[-2] - n + extra) * row)
        left = int((image.shape[-1] - n + extra) * column)
        crops.append(image[:, top : top + n, left : left + n])
    return torch.stack(crops)  # (N, C, size, size)


def _centre(images: Tensor, uniform: Tensor, size: int) -> Tensor:
    return _crop(images, torch.full_like(uniform, 0.5), size)


CROP_MISTAKES = (
    Mistake(
        "never draws the last offset",
        lambda images, uniform, size: _crop(images, uniform, size, extra=0),
        "From 0 to H - size there are H - size + 1 offsets.",
    ),
    Mistake(
        "gives the whole batch the same offset",
        lambda images, uniform, size: _crop(images, uniform, size, one=True),
        "Row i of `uniform` belongs to image i.",
    ),
    Mistake(
        "swaps row and column",
        lambda images, uniform, size: _crop(images, uniform, size, swap=True),
        "uniform[:, 0] is for the top row, uniform[:, 1] for the left column.",
    ),
    Mistake(
        "always takes the centre", _centre, "The centre is for evaluation; in training `uniform` decides."
    ),
    Mistake(
        "always takes the upper left corner",
        lambda images, uniform, size: images[:, :, :size, :size],
        "Multiply `uniform` by the number of offsets before int().",
    ),
)


def spatial_softmax(function: Function) -> None:
    """Checks `function(features (N, C, H, W)) -> (N, C, 2)`, x and y from -1 to 1.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(2)
    cases = [
        {"features": 2 * torch.randn(shape, generator=generator)} for shape in ((2, 3, 4, 6), (1, 2, 3, 3))
    ]
    check_function(
        "spatial_softmax",
        function,
        _spatial_softmax,
        SOFTMAX_MISTAKES,
        cases,
        "A map of numbers became a place.",
    )


def _weights(features: Tensor) -> Tensor:
    return features.flatten(2).softmax(dim=-1).view_as(features)  # (N, C, H, W)


def _mean_place(weights: Tensor, low: float = -1, high: float | None = 1) -> Tensor:
    height, width = weights.shape[-2:]
    x = torch.linspace(low, width - 1 if high is None else high, width)
    y = torch.linspace(low, height - 1 if high is None else high, height)
    return torch.stack([(weights.sum(2) * x).sum(-1), (weights.sum(3) * y).sum(-1)], dim=-1)  # (N, C, 2)


def _spatial_softmax(features: Tensor) -> Tensor:
    weights = features.flatten(2).softmax(dim=-1).view_as(features)  # (N, C, H, W)
    x = torch.linspace(-1, 1, features.shape[3])
    y = torch.linspace(-1, 1, features.shape[2])
    return torch.stack([(weights.sum(2) * x).sum(-1), (weights.sum(3) * y).sum(-1)], dim=-1)  # (N, C, 2)


SOFTMAX_MISTAKES = (
    Mistake(
        "takes the softmax over channels",
        lambda features: _mean_place(features.softmax(dim=1)),
        "Each channel has a map of its own that sums to 1 over all places: flatten(2).softmax(-1).",
    ),
    Mistake(
        "swaps x and y",
        lambda features: _spatial_softmax(features).flip(-1),
        "x goes with columns (the last axis) and comes first.",
    ),
    Mistake(
        "counts in cells, not from -1 to 1",
        lambda features: _mean_place(_weights(features), 0, None),
        "torch.linspace(-1, 1, W): the first cell is -1, the last one 1.",
    ),
    Mistake(
        "counts from 0 to 1",
        lambda features: _mean_place(_weights(features), 0, 1),
        "The middle of the picture is 0: torch.linspace(-1, 1, W).",
    ),
    Mistake(
        "forgets to divide by the sum of the exponentials",
        lambda features: _mean_place(features.exp()),
        "The weights of one map must sum to 1.",
    ),
    Mistake(
        "forgets the exponential",
        lambda features: _mean_place(features),
        "Raw features may be negative. The softmax makes weights of them.",
    ),
    Mistake(
        "takes the softmax over columns only",
        lambda features: _mean_place(features.softmax(dim=-1)),
        "One softmax over all H * W places, not one for each row.",
    ),
)
