"""Check of notebook 14: many episodes with one policy, and known mistakes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Fresh, Function, Mistake, check_function

Step = Callable[[int, Tensor], tuple[Tensor, bool]]
Predict = Callable[[Tensor], Tensor]
Played = tuple[Tensor, Tensor]


def act_together(function: Function) -> None:
    """Checks `function(observations (N, Do), step, predict, To, Ta, max_steps) -> (N, max_steps, Da), (N,)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "act_together",
        function,
        _act_together,
        TOGETHER_MISTAKES,
        [_worlds(2, 3, 12, (7, 4, 99)), _worlds(3, 2, 9, (2, 99, 5, 9)), _worlds(1, 4, 6, (6, 1))],
        "One question for all that are still on their way, and each ends when it ends.",
    )


def _worlds(To: int, Ta: int, max_steps: int, done_at: tuple[int, ...]) -> Arguments:
    """Small worlds, made anew for each call: points that move as they are told, and drift."""
    starts = torch.tensor([[1.0, -2.0], [0.5, 0.3], [-1.0, 0.7], [2.0, 1.0]])[: len(done_at)]

    def make() -> Step:
        positions, calls = starts.clone(), [0] * len(done_at)

        def step(i: int, action: Tensor) -> tuple[Tensor, bool]:
            if calls[i] >= max_steps + 20:
                raise RuntimeError(f"episode {i} does not end: look at max_steps and done")
            calls[i] += 1
            positions[i] = 0.9 * positions[i] + action + torch.tensor([0.1, 0.03 * calls[i]])
            return positions[i].clone(), calls[i] >= done_at[i]

        return step

    def predict(histories: Tensor) -> Tensor:
        if histories.ndim != 3 or tuple(histories.shape[1:]) != (To, 2):
            raise ValueError(f"predict got histories of shape {tuple(histories.shape)}, not (M, {To}, 2)")
        weight = torch.arange(1.0, To + 1)[:, None] / To**2
        now = (weight * histories).sum(dim=1, keepdim=True)  # (M, 1, 2)
        return now - 0.1 * torch.arange(To + Ta + 3.0)[:, None]  # (M, T, Da)

    given = {"observations": starts, "step": Fresh(make), "predict": predict}
    return {**given, "To": To, "Ta": Ta, "max_steps": max_steps}


def _act_together(
    observations: Tensor, step: Step, predict: Predict, To: int, Ta: int, max_steps: int
) -> Played:
    histories = [[first] * To for first in observations]
    actions: list[list[Tensor]] = [[] for _ in observations]
    running = list(range(len(observations)))
    while running:
        seen = torch.stack([torch.stack(histories[i][-To:]) for i in running])  # (M, To, Do)
        chunks = predict(seen)[:, To - 1 : To - 1 + Ta]  # (M, Ta, Da)
        for i, chunk in zip(list(running), chunks, strict=True):
            for action in chunk:
                observation, done = step(i, action)
                histories[i].append(observation)
                actions[i].append(action)
                if done or len(actions[i]) == max_steps:
                    running.remove(i)
                    break
    return _together(actions, max_steps)


def _together(actions: list[list[Tensor]], max_steps: int) -> Played:
    lengths = torch.tensor([len(one) for one in actions])  # (N,)
    played = torch.zeros(len(actions), max_steps, 2)  # (N, max_steps, Da)
    for i, one in enumerate(actions):
        played[i, : len(one)] = torch.stack(one[:max_steps])
    return played, lengths


def _wrong(
    observations: Tensor,
    step: Step,
    predict: Predict,
    To: int,
    Ta: int,
    max_steps: int,
    begin: int = -1,
    ends: str = "each",
    places: str = "episodes",
    seen_of: str = "each",
    every_step: bool = True,
) -> Played:
    """Many episodes; right by default, and each part can be put wrong."""
    histories = [[first] * To for first in observations]
    actions: list[list[Tensor]] = [[] for _ in observations]
    running = list(range(len(observations)))
    while running:
        shown = [running[0] if seen_of == "the first" else i for i in running]
        trajectories = predict(torch.stack([torch.stack(histories[i][-To:]) for i in shown]))
        ended = []
        for place, i in enumerate(list(running)):
            row = i % len(trajectories) if places == "rows" else place
            first = To + begin
            for action in trajectories[row, first : first + Ta]:
                observation, done = step(i, action)
                if every_step:
                    histories[i].append(observation)
                actions[i].append(action)
                if (done and ends != "never") or len(actions[i]) == max_steps:
                    ended.append(i)
                    break
            if not every_step:
                histories[i].append(observation)
        running = [] if ended and ends == "all" else [i for i in running if i not in ended]
    played, lengths = _together(actions, max_steps)
    return played, lengths


TOGETHER_MISTAKES = (
    Mistake(
        "ends all episodes with the first that ends",
        lambda *given: _wrong(*given, ends="all"),
        "The others are not done: take the one out of those that run, and go on.",
    ),
    Mistake(
        "gives an episode another one's actions, once one has ended",
        lambda *given: _wrong(*given, places="rows"),
        "Row m of the trajectories belongs to the m-th that still runs, and not to episode m.",
    ),
    Mistake(
        "shows the policy the same history for all",
        lambda *given: _wrong(*given, seen_of="the first"),
        "Each episode has a history of its own: histories[i][-To:].",
    ),
    Mistake(
        "starts each chunk at To, one step after now",
        lambda *given: _wrong(*given, begin=0),
        "The trajectory begins with the oldest observation: now is To - 1.",
    ),
    Mistake(
        "starts each chunk one step before now",
        lambda *given: _wrong(*given, begin=-2) if given[3] > 1 else _wrong(*given),
        "The trajectory begins with the oldest observation: now is To - 1.",
    ),
    Mistake(
        "keeps only one observation for each chunk",
        lambda *given: _wrong(*given, every_step=False),
        "Every control step gives an observation, and the history holds the last To of those.",
    ),
    Mistake(
        "goes on after an episode is done",
        lambda *given: _wrong(*given, ends="never"),
        "`step` returns (observation, done): an episode leaves those that run when done is true.",
    ),
)
