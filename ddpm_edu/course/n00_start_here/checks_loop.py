"""Check of notebook 00: looking, deciding and moving, over and over."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Function, Mistake, check_function


def closed_loop(function: Function) -> None:
    """Checks `function(decide, start, n_steps, To, Ta, metres_per_unit) -> path (n_steps+1, 3), closed`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases: list[Arguments] = [
        {
            "decide": _decide,
            "start": torch.tensor([0.1, -0.2, 1.0]),
            "n_steps": n_steps,
            "To": To,
            "Ta": Ta,
            "metres_per_unit": metres,
        }
        for n_steps, To, Ta, metres in ((7, 2, 3, 0.05), (5, 3, 2, 0.02), (6, 1, 6, 0.1))
    ]
    check_function(
        "closed_loop",
        function,
        _closed_loop,
        CLOSED_LOOP_MISTAKES,
        cases,
        "Look, decide, act Ta times, look again: this is all that a policy does.",
    )


def _decide(seen: Tensor) -> Tensor:
    """Another answer for every history: (To, 3) -> (T=9, 7)."""
    place = torch.arange(1.0, 10.0)[:, None]  # (T, 1)
    drift = (seen * torch.arange(1.0, len(seen) + 1)[:, None]).sum()
    return 1.3 * torch.sin(place * torch.arange(1.0, 8.0) + 5 * drift)  # (T, 7)


def _closed_loop(
    decide: Function,
    start: Tensor,
    n_steps: int,
    To: int,
    Ta: int,
    metres_per_unit: float,
    begin: int = 0,
    every: bool = False,
    clipped: bool = True,
    blind: bool = False,
    newest_only: bool = False,
    grip: int = 6,
    newest_first: bool = False,
    from_start: bool = False,
    entries: int = 0,
    open_is_true: bool = False,
) -> tuple[Tensor, Tensor]:
    """The right loop; each option is a mistake."""
    path, closed, plan = [start], [], torch.zeros(0)
    for step in range(n_steps):
        at = 0 if every else step % Ta
        if at == 0 and not (blind and step):
            history = ([start] * To + path[1:])[-To:]
            history = history[::-1] if newest_first else history
            plan = decide(torch.stack([history[-1]] * To if newest_only else history))
            plan = plan[To - 1 + begin :]
        action = plan[at]
        move = action[entries : entries + 3]
        move = move.clamp(-1, 1) if clipped else move
        path.append((start if from_start else path[-1]) + metres_per_unit * move)
        closed.append((action[grip] > 0) != open_is_true)
    return torch.stack(path), torch.stack(closed)


CLOSED_LOOP_MISTAKES = (
    Mistake(
        "executes the actions from index 0 on",
        lambda decide, start, n, To, Ta, m: _closed_loop(decide, start, n, To, Ta, m, begin=1 - To),
        "Index To - 1 of the prediction is now; those before it are past.",
    ),
    Mistake(
        "executes the actions from index To on",
        lambda *a: _closed_loop(*a, begin=1),
        "Index To - 1 of the prediction is now.",
    ),
    Mistake(
        "decides anew at every step",
        lambda *a: _closed_loop(*a, every=True),
        "Ta actions of one decision are executed before it looks again: `if step % Ta == 0`.",
    ),
    Mistake(
        "looks once, and then repeats its first plan",
        lambda *a: _closed_loop(*a, blind=True),
        "At every Ta-th step the last To places are looked at anew.",
    ),
    Mistake(
        "does not clip what moves the hand",
        lambda *a: _closed_loop(*a, clipped=False),
        "The controller does not do more than 1: action[:3].clamp(-1, 1).",
    ),
    Mistake(
        "shows the policy the newest place To times",
        lambda *a: _closed_loop(*a, newest_only=True),
        "The last To places, the oldest first.",
    ),
    Mistake(
        "reads the fingers off the wrong entry",
        lambda *a: _closed_loop(*a, grip=5),
        "The last of the seven numbers opens (-1) or closes (1) the fingers.",
    ),
    Mistake(
        "shows the policy the newest place first",
        lambda *a: _closed_loop(*a, newest_first=True),
        "The last To places, the oldest first: seen[-To:].",
    ),
    Mistake(
        "moves from the start at every step",
        lambda *a: _closed_loop(*a, from_start=True),
        "An action says by how much to move on from where the hand is now.",
    ),
    Mistake(
        "moves by the numbers that turn the hand",
        lambda *a: _closed_loop(*a, entries=3),
        "The first three of the seven move it: action[:3].",
    ),
    Mistake(
        "says True for open fingers",
        lambda *a: _closed_loop(*a, open_is_true=True),
        "`closed` is True where the last number is above 0.",
    ),
)
