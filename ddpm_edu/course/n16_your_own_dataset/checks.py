"""Checks of notebook 16: quaternions in the right order, actions from positions, one clock for all."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Function, Mistake, check_function

# ------------------------------------------------------------------------------------------------
# quaternions
# ------------------------------------------------------------------------------------------------


def to_xyzw(function: Function) -> None:
    """Checks `function(wxyz (N, 4)) -> xyzw (N, 4)` of length 1.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(16)
    cases = [{"wxyz": torch.randn(N, 4, generator=generator)} for N in (3, 4)]
    mistakes = [Mistake(name, wrong, hint) for name, wrong, hint in QUATERNIONS]
    check_function("to_xyzw", function, _xyzw, mistakes, cases, "The scalar stands last, the length is 1.")


def _unit(quaternion: Tensor) -> Tensor:
    return quaternion / quaternion.norm(dim=-1, keepdim=True)  # (N, 4)


def _xyzw(wxyz: Tensor) -> Tensor:
    xyzw = wxyz[:, [1, 2, 3, 0]]  # (N, 4)
    return xyzw / xyzw.norm(dim=-1, keepdim=True)  # (N, 4)


QUATERNIONS = (
    ("leaves the order as it was", lambda q: _unit(q), "w stands first in your log, and must stand last."),
    ("reverses the order", lambda q: _unit(q.flip(-1)), "That is zyxw. x, y and z keep their order."),
    (
        "moves the last number to the front",
        lambda q: _unit(q.roll(1, -1)),
        "That goes the other way, from xyzw to wxyz: roll by -1.",
    ),
    ("does not scale to length 1", lambda q: q[:, [1, 2, 3, 0]], "Divide each by its own length."),
    (
        "inverts the rotation",
        lambda q: _xyzw(q) * torch.tensor([-1.0, -1, -1, 1]),
        "The signs of x, y and z stay; changed, they turn the other way.",
    ),
    (
        "divides all by one length, that of the whole tensor",
        lambda q: q[:, [1, 2, 3, 0]] / q.norm(),
        "Each row has a length of its own: norm(dim=-1, keepdim=True).",
    ),
)

# ------------------------------------------------------------------------------------------------
# actions from positions
# ------------------------------------------------------------------------------------------------


def actions_from_positions(function: Function) -> None:
    """Checks `function(positions (N, 3), largest_step ()) -> actions (N, 3)` within [-1, 1].

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    generator = torch.Generator().manual_seed(17)
    cases = []
    for N, spread, size in ((6, 0.04, 0.05), (3, 0.04, 0.02), (4, 0.04, 1.0), (5, 4.0, 3.0)):
        positions = spread * torch.randn(N, 3, generator=generator).cumsum(0)  # (N, 3)
        cases.append({"positions": positions, "largest_step": torch.tensor(size)})
    mistakes = [Mistake(name, wrong, hint) for name, wrong, hint in ACTIONS]
    check_function(
        "actions_from_positions",
        function,
        _actions,
        mistakes,
        cases,
        "Row t says what to do now so that row t+1 comes out.",
    )


def _moves(positions: Tensor) -> Tensor:
    return torch.cat([positions.diff(dim=0), torch.zeros(1, 3)])  # (N, 3)


def _actions(positions: Tensor, largest_step: Tensor) -> Tensor:
    steps = torch.cat([positions.diff(dim=0), torch.zeros_like(positions[:1])])  # (N, 3)
    return (steps / largest_step).clamp(-1, 1)  # (N, 3)


ACTIONS = (
    (
        "looks back: it gives the move that led to each position",
        lambda p, s: (torch.cat([torch.zeros(1, 3), p.diff(dim=0)]) / s).clamp(-1, 1),
        "An action comes after its observation: row t is position[t+1] - position[t].",
    ),
    (
        "gives one row less than there are observations",
        lambda p, s: (p.diff(dim=0) / s).clamp(-1, 1),
        "Every observation has an action. After the last one nothing moves: add a row of zeros.",
    ),
    (
        "repeats the last move at the end",
        lambda p, s: (torch.cat([p.diff(dim=0), p.diff(dim=0)[-1:]]) / s).clamp(-1, 1),
        "Repeated, a delta means 'keep moving'. The demonstration ends at rest: zeros.",
    ),
    ("gives metres", lambda p, s: _moves(p), "The controller's 1 means largest_step metres: divide."),
    (
        "clips metres, and never divides",
        lambda p, s: _moves(p).clamp(-1, 1),
        "The controller's 1 means largest_step metres: divide first, then clip.",
    ),
    (
        "multiplies by the largest step",
        lambda p, s: (_moves(p) * s).clamp(-1, 1),
        "An action of 1 is a move of largest_step: divide by it.",
    ),
    (
        "does not clip",
        lambda p, s: _moves(p) / s,
        "The controller cannot do more than 1; a file with larger actions is refused.",
    ),
    (
        "clips metres, then divides",
        lambda p, s: _moves(p).clamp(-1, 1) / s,
        "The limits -1 and 1 are those of actions: divide first.",
    ),
)

# ------------------------------------------------------------------------------------------------
# one clock
# ------------------------------------------------------------------------------------------------


def resample(function: Function) -> None:
    """Checks `function(times (M,), values (M, D), wanted (N,)) -> (N, D)`, linear in between.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    times = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.6])  # (M,) uneven, as sensors are
    values = torch.tensor([[0.0, 1.0], [2.0, -1.0], [1.0, 4.0], [5.0, 0.0], [3.0, 2.0]])  # (M, D)
    cases = [
        {"times": times, "values": values, "wanted": torch.tensor([0.0, 0.05, 0.2, 0.27, 0.5, 0.6])},
        {"times": times[1:] + 3, "values": values[1:], "wanted": torch.tensor([3.33, 3.12, 3.6, 3.28])},
    ]
    mistakes = [Mistake(name, wrong, hint) for name, wrong, hint in RESAMPLED]
    check_function(
        "resample", function, _resample, mistakes, cases, "Uneven and late samples come out right."
    )


def _neighbours(times: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    after = torch.searchsorted(times, wanted).clamp(1, len(times) - 1)  # (N,)
    share = (wanted - times[after - 1]) / (times[after] - times[after - 1])  # (N,)
    return after, share


def _resample(times: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    after = torch.searchsorted(times, wanted).clamp(1, len(times) - 1)  # (N,)
    share = (wanted - times[after - 1]) / (times[after] - times[after - 1])  # (N,)
    return torch.lerp(values[after - 1], values[after], share[:, None])  # (N, D)


def _even(times: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    even = torch.linspace(float(times[0]), float(times[-1]), len(times))  # (M,)
    return _resample(even, values, wanted)


def _swapped(times: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    after, share = _neighbours(times, wanted)
    return torch.lerp(values[after], values[after - 1], share[:, None])  # (N, D)


RESAMPLED = (
    (
        "takes the sample before",
        lambda t, v, w: v[(torch.searchsorted(t, w, right=True) - 1).clamp(min=0)],
        "Up to one sensor period old, and another age at each step: mix the two neighbours.",
    ),
    (
        "takes the sample before, even where one lies at the wanted time itself",
        lambda t, v, w: v[torch.searchsorted(t, w).clamp(1, len(t) - 1) - 1],
        "Up to one sensor period old, and another age at each step: mix the two neighbours.",
    ),
    (
        "takes the sample after",
        lambda t, v, w: v[torch.searchsorted(t, w)],
        "That one lies in the future: a policy would learn to know what it cannot know.",
    ),
    (
        "takes the nearest sample",
        lambda t, v, w: v[(t[:, None] - w).abs().argmin(0)],
        "It jumps half-way between two samples: mix the two neighbours.",
    ),
    (
        "believes that samples come at even times",
        _even,
        "Sensors stutter. Use `times`, not the index.",
    ),
    (
        "mixes the neighbours the wrong way round",
        _swapped,
        "Close to the earlier sample, the earlier one has the larger share.",
    ),
    (
        "takes the mean of the neighbours",
        lambda t, v, w: (v[_neighbours(t, w)[0]] + v[_neighbours(t, w)[0] - 1]) / 2,
        "Their shares depend on how close each is in time.",
    ),
)
