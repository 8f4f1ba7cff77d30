"""Check of notebook 10: the outline's input block, all three ways in one function."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def three_ways(function: Function) -> None:
    """Checks `function(kind, features, To, T, Da) -> data, mask, local, vector`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {
            "kind": kind,
            "features": torch.randn(B, S, Do, generator=torch.Generator().manual_seed(B)) + 2,
            "To": To,
            "T": T,
            "Da": Da,
        }
        for kind, (B, S, Do, To, T, Da) in (
            ("global", (3, 6, 4, 2, 6, 2)),
            ("local", (2, 5, 3, 2, 7, 4)),
            ("inpainting", (4, 3, 2, 3, 5, 3)),
            ("inpainting", (2, 7, 3, 1, 4, 2)),
        )
    ]
    check_function(
        "three_ways",
        function,
        _three_ways,
        THREE_WAYS_MISTAKES,
        cases,
        "Beside the trajectory, along it, or in it: the outline's whole input block.",
    )


def _three_ways(
    kind: str,
    features: Tensor,
    To: int,
    T: int,
    Da: int,
    all_seen: bool = False,
    front: bool = False,
    marked: bool = True,
    inverted: bool = False,
    everywhere: bool = False,
    repeated: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The right tensors; each option is a mistake."""
    B, _, Do = features.shape
    seen = features if all_seen and kind == "global" else features[:, :To]
    local, vector = features.new_zeros(B, 0, Do), features.new_zeros(B, 0)
    data = features.new_zeros(B, T, Da + Do if kind == "inpainting" or everywhere else Da)
    mask = torch.zeros_like(data, dtype=torch.bool)
    if kind == "inpainting":
        place = slice(0, Do) if front else slice(Da, None)
        data[:, :To, place] = seen
        mask[:, :To, place] = marked
    elif kind == "local":
        local = features.new_zeros(B, T, Do)
        local[:, :To] = seen
        if repeated:
            local[:, To:] = seen[:, -1:]
    else:
        vector = seen.flatten(1)
    return data, ~mask if inverted else mask, local, vector


THREE_WAYS_MISTAKES = (
    Mistake(
        "puts all observations of the batch into the vector",
        lambda *a: _three_ways(*a, all_seen=True),
        "Only the first To are known when the robot asks: [:, :To].",
    ),
    Mistake(
        "writes observations before the actions",
        lambda *a: _three_ways(*a, front=True),
        "An entry of the trajectory is Da numbers of action, then Do of observation: [..., Da:].",
    ),
    Mistake(
        "fills the observations in, and marks nothing as given",
        lambda *a: _three_ways(*a, marked=False),
        "mask[:, :To, Da:] = True.",
    ),
    Mistake(
        "marks what is asked, not what is given",
        lambda *a: _three_ways(*a, inverted=True),
        "True means given. With a vector or a local condition nothing in the trajectory is.",
    ),
    Mistake(
        "gives the trajectory Da + Do columns whatever the way",
        lambda *a: _three_ways(*a, everywhere=True),
        "Only what is filled in needs columns of its own.",
    ),
    Mistake(
        "repeats the last observation along the future",
        lambda *a: _three_ways(*a, repeated=True),
        "What has not been seen is zero from To on.",
    ),
)
