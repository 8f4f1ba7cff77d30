"""Check of notebook 11: from camera pictures to the condition of a policy."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def see(function: Function) -> None:
    """Checks `function(cameras, low_dim, convolve, size) -> condition (B, To*Do)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (B, To, H, W, size, D, cameras) in enumerate(
        ((3, 2, 8, 10, 6, 4, 2), (2, 3, 9, 7, 5, 2, 1), (2, 1, 10, 8, 7, 3, 2))
    ):
        generator = torch.Generator().manual_seed(seed)
        cases.append(
            {
                "cameras": torch.randint(
                    0, 256, (cameras, B, To, H, W, 3), generator=generator, dtype=torch.uint8
                ),
                "low_dim": torch.randn(B, To, D, generator=generator),
                "convolve": _convolve,
                "size": size,
            }
        )
    check_function(
        "see",
        function,
        _see,
        SEE_MISTAKES,
        cases,
        "Pixels in, keypoints and joints out: what an image policy is told.",
    )


def _convolve(pictures: Tensor) -> Tensor:
    """Maps of two channels, one row and one column smaller: (N, 3, H, W) -> (N, 2, H-1, W-1).

    Bent at 0, as a network is: what is added to all pixels would cancel in the softmax otherwise.
    """
    shifted = pictures[:, :2, 1:, 1:] - 0.5 * pictures[:, 1:, :-1, 1:]
    maps = 2 * shifted + pictures[:, :1, 1:, :-1]
    return torch.where(maps > 0, maps, 0.3 * maps)


def _see(
    cameras: Tensor,
    low_dim: Tensor,
    convolve: Function,
    size: int,
    corner: bool = False,
    zero_to_one: bool = False,
    exchanged: bool = False,
    reshaped: bool = False,
    low_dim_first: bool = False,
    one_softmax: bool = True,
    later: bool = False,
    far_end: bool = False,
    each_row: bool = False,
    offset: float = 1.0,
) -> Tensor:
    """The right condition; each option is a mistake."""
    B, To, _ = low_dim.shape
    parts = []
    for camera in cameras:
        image = camera.flatten(0, 1)  # (N, H, W, 3)
        top = 0 if corner else (image.shape[1] - size) // 2
        left = 0 if corner else (image.shape[2] - size) // 2
        if far_end:
            top, left = image.shape[1] - size, image.shape[2] - size
        image = image[:, top : top + size, left : left + size].float()
        N = len(image)
        picture = image.reshape(N, 3, size, size) if reshaped else image.permute(0, 3, 1, 2)
        maps = convolve(picture / 255 if zero_to_one else picture / 127.5 - offset)  # (N, C, h, w)
        weights = maps.flatten(2).softmax(dim=-1 if one_softmax else 1).view_as(maps)
        weights = maps.softmax(dim=3) if each_row else weights
        x = (weights.sum(dim=2) * torch.linspace(-1, 1, maps.shape[3])).sum(dim=-1)  # (N, C)
        y = (weights.sum(dim=3) * torch.linspace(-1, 1, maps.shape[2])).sum(dim=-1)  # (N, C)
        points = torch.stack([y, x] if exchanged else [x, y], dim=-1).flatten(1)  # (N, 2C)
        parts.append(points.unflatten(0, (B, To)))
    parts = [low_dim, *parts] if low_dim_first else [*parts, low_dim]
    if later:
        return torch.cat([part.flatten(1) for part in parts], dim=-1)
    return torch.cat(parts, dim=-1).flatten(1)


SEE_MISTAKES = (
    Mistake(
        "cuts the window at the upper left corner",
        lambda *a: _see(*a, corner=True),
        "In evaluation the window is in the centre: (H - size) // 2.",
    ),
    Mistake(
        "scales pixels to 0 … 1",
        lambda *a: _see(*a, zero_to_one=True),
        "From -1 to 1: / 127.5 - 1.",
    ),
    Mistake(
        "scales pixels to 0 … 2",
        lambda *a: _see(*a, offset=0.0),
        "From -1 to 1: after / 127.5 comes - 1. A network's layers bend at 0, and so feel what is added.",
    ),
    Mistake(
        "reshapes the picture where its axes must be turned",
        lambda *a: _see(*a, reshaped=True),
        "permute(0, 3, 1, 2) turns axes; reshape cuts the same numbers up anew.",
    ),
    Mistake(
        "gives y before x",
        lambda *a: _see(*a, exchanged=True),
        "x belongs to the columns, the last axis, and comes first.",
    ),
    Mistake(
        "lays each camera's steps end to end, and then the cameras",
        lambda *a: _see(*a, later=True),
        "One observation is all keys of one step: join the keys, then flatten the steps.",
    ),
    Mistake(
        "puts the low-dim keys first",
        lambda *a: _see(*a, low_dim_first=True),
        "Cameras in their order, then low_dim.",
    ),
    Mistake(
        "takes the softmax over the maps, not over the places",
        lambda *a: _see(*a, one_softmax=False),
        "One softmax over all h * w cells of a map: flatten(2), dim=-1.",
    ),
    Mistake(
        "cuts the window at the lower right corner",
        lambda *a: _see(*a, far_end=True),
        "In evaluation the window is in the centre: (H - size) // 2, rounded down.",
    ),
    Mistake(
        "takes a softmax of each row",
        lambda *a: _see(*a, each_row=True),
        "One softmax over all h * w cells of a map: flatten(2) first.",
    ),
)
