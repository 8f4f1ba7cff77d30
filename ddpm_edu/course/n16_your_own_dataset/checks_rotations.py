"""Check of notebook 16: rotations of a log at other times."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def rotations_at(function: Function) -> None:
    """Checks `function(times (M,), quaternions (M, 4), wanted (N,)) -> quaternions (N, 4)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = []
    for seed, (M, N) in enumerate(((6, 9), (4, 5), (8, 7))):
        generator = torch.Generator().manual_seed(seed)
        times = torch.rand(M, generator=generator).add(0.2).cumsum(0)  # (M,) uneven
        turn = torch.randn(4, generator=generator)
        # Turns on and on about one axis, by more than a whole turn in the end.
        axis = torch.nn.functional.normalize(turn[:3], dim=0)
        half = torch.linspace(0.1, 3.4, M)[:, None]  # (M, 1) half of the angle
        quaternions = torch.cat([half.sin() * axis, half.cos()], dim=1)
        quaternions = quaternions + 0.1 * torch.randn(M, 4, generator=generator)
        sign = torch.where(torch.rand(M, generator=generator) < 0.5, -1.0, 1.0)
        quaternions = 1.3 * torch.nn.functional.normalize(quaternions, dim=-1) * sign[:, None]
        # Stands still. Its length of 1 is exact: the angle is 0, and not a rounded one.
        quaternions[:2] = sign[0] * torch.tensor([0.0, 0.0, 0.0, 1.0])
        wanted = times[0] + (times[-1] - times[0]) * torch.rand(N, generator=generator).sort().values
        wanted[0], wanted[-1] = times[0] + 0.03, times[-1]
        cases.append({"times": times, "quaternions": quaternions, "wanted": wanted})
    check_function(
        "rotations_at",
        function,
        _rotations_at,
        ROTATIONS_MISTAKES,
        cases,
        "Along the shorter arc, at an even pace, whatever signs the log has.",
    )


def _rotations_at(
    times: Tensor,
    quaternions: Tensor,
    wanted: Tensor,
    signs: bool = True,
    first_only: bool = False,
    arc: bool = True,
    unit: bool = True,
    swapped: bool = False,
    nearest: bool = False,
    half_way: bool = False,
    cosine: bool = False,
    opposite: bool = False,
    in_pairs: bool = False,
    guarded: bool = True,
) -> Tensor:
    """The right rotations; each option is a mistake."""
    q = quaternions / quaternions.norm(dim=-1, keepdim=True) if unit else quaternions
    smooth = [q[0]]
    for one in q[1:]:
        before = q[0] if first_only else smooth[-1]
        smooth.append(-one if signs and ((one * before).sum() < 0) != opposite else one)
    q = torch.stack(smooth)
    after = torch.searchsorted(times, wanted).clamp(1, len(times) - 1)  # (N,)
    a, b = q[after - 1], q[after]  # (N, 4)
    if in_pairs:
        b = torch.where((a * b).sum(dim=-1, keepdim=True) < 0, -b, b)
    share = ((wanted - times[after - 1]) / (times[after] - times[after - 1]))[:, None]  # (N, 1)
    if half_way:
        share = torch.full_like(share, 0.5)
    if swapped:
        share = 1 - share
    if nearest:
        return torch.where(share < 0.5, a, b)
    angle = (a * b).sum(dim=-1, keepdim=True).clamp(-1, 1).acos()  # (N, 1)
    still = (angle < 1e-3) & guarded
    sine = torch.where(still, 1.0, angle.sin())
    of_a = torch.where(still, 1 - share, ((1 - share) * angle).sin() / sine)
    of_b = torch.where(still, share, (share * angle).sin() / sine)
    if cosine:
        of_a, of_b = ((1 - share) * angle).cos(), (share * angle).cos()
    mixed = of_a * a + of_b * b if arc else (1 - share) * a + share * b
    return mixed / mixed.norm(dim=-1, keepdim=True) if unit else mixed


ROTATIONS_MISTAKES = (
    Mistake(
        "leaves the signs as they are, and goes the long way round",
        lambda *a: _rotations_at(*a, signs=False),
        "q and -q are one rotation: turn a row over where its product with the row before is negative.",
    ),
    Mistake(
        "compares every row's sign with the first row",
        lambda *a: _rotations_at(*a, first_only=True),
        "Over a long motion the hand may turn far from its first rotation: compare with the row before, "
        "as it is after its own turning over.",
    ),
    Mistake(
        "mixes along the straight line",
        lambda *a: _rotations_at(*a, arc=False),
        "Then it turns faster in the middle. On the arc the weights are sin((1 - s) angle) / sin(angle) and "
        "sin(s angle) / sin(angle).",
    ),
    Mistake(
        "does not bring the log's rows to length 1",
        lambda *a: _rotations_at(*a, unit=False),
        "Divide each row by its length first; the angle is an arc cosine of unit rows' product.",
    ),
    Mistake(
        "exchanges the two neighbours' weights",
        lambda *a: _rotations_at(*a, swapped=True),
        "share = 0 is the earlier row.",
    ),
    Mistake(
        "takes the nearest row",
        lambda *a: _rotations_at(*a, nearest=True),
        "Between two rows the rotation is between them, too.",
    ),
    Mistake(
        "goes half of the way, whatever the time",
        lambda *a: _rotations_at(*a, half_way=True),
        "share = (wanted - before) / (after - before), each wanted time its own.",
    ),
    Mistake(
        "takes cosines for weights",
        lambda *a: _rotations_at(*a, cosine=True),
        "sin((1 - s) angle) / sin(angle) and sin(s angle) / sin(angle): at s = 0 they are 1 and 0.",
    ),
    Mistake(
        "turns over the rows that are on the right side",
        lambda *a: _rotations_at(*a, opposite=True),
        "A row is turned over where its product with the row before is negative.",
    ),
    Mistake(
        "turns over one of the two neighbours, not the log row after row",
        lambda *a: _rotations_at(*a, signs=False, in_pairs=True),
        "The rotations are right, but q and -q still change places: first turn the whole log over, each row "
        "compared with the one before as it is by then.",
    ),
    Mistake(
        "divides 0 by 0 where the hand stands still",
        lambda *a: _rotations_at(*a, guarded=False),
        "At an angle of 0 the weights are 1 - s and s: torch.where, with a divisor that is not 0.",
    ),
)
