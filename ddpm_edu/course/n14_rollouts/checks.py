"""Checks of notebook 14: the receding-horizon loop, an interval, and a paired comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ddpm_edu.course.diagnosis import Arguments, Fresh, Function, Mistake, check_function

# ------------------------------------------------------------------------------------------------
# the receding-horizon loop
# ------------------------------------------------------------------------------------------------

Outcome = tuple[Tensor, bool]
Step = Callable[[Tensor], Outcome]
Predict = Callable[[Tensor], Tensor]


def receding_horizon(function: Function) -> None:
    """Checks `function(observation (Do,), step, predict, To, Ta, max_steps) -> actions (length, Da)`.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    check_function(
        "receding_horizon",
        function,
        _receding_horizon,
        [Mistake(name, loop, hint) for name, loop, hint in LOOPS],
        [_world(2, 3, 20, 99), _world(2, 3, 20, 7), _world(3, 2, 11, 99), _world(1, 4, 9, 99)],
        "Every chunk starts at now, and every decision saw the last To observations.",
    )


def _world(To: int, Ta: int, max_steps: int, done_at: int) -> Arguments:
    """A small world, made anew for each call: a point that moves as it is told, and drifts."""
    start = torch.tensor([1.0, -2.0])

    def make() -> Step:
        position, calls = start.clone(), 0

        def step(action: Tensor) -> Outcome:
            nonlocal position, calls
            if calls >= max_steps + 20:
                raise RuntimeError("the episode does not end: look at max_steps and done")
            calls += 1
            position = 0.9 * position + action + torch.tensor([0.1, 0.03 * calls])
            return position.clone(), calls >= done_at

        return step

    given = {"observation": start, "step": Fresh(make), "predict": partial(_predict, To, Ta)}
    return {**given, "To": To, "Ta": Ta, "max_steps": max_steps}


def _predict(To: int, Ta: int, history: Tensor) -> Tensor:
    if tuple(history.shape) != (To, 2):
        raise ValueError(f"predict got a history of shape {tuple(history.shape)}, not {(To, 2)}")
    weight = torch.arange(1.0, To + 1)[:, None] / To**2  # every place in the history counts
    return (weight * history).sum(0) - 0.1 * torch.arange(To + Ta + 3.0)[:, None]  # (T, Da)


def _receding_horizon(
    observation: Tensor, step: Step, predict: Predict, To: int, Ta: int, max_steps: int
) -> Tensor:
    history, executed = [observation] * To, []
    while True:
        trajectory = predict(torch.stack(history[-To:]))  # (T, Da)
        for action in trajectory[To - 1 : To - 1 + Ta]:
            observation, done = step(action)
            history.append(observation)
            executed.append(action)
            if done or len(executed) == max_steps:
                return torch.stack(executed)  # (length, Da)


@dataclass(frozen=True)
class _Loop:
    """Receding-horizon control; right by default, and each part can be put wrong."""

    start: Callable[[int], int] = lambda To: To - 1
    count: Callable[[int, int], int] = lambda Ta, T: Ta
    sees: str = "every step"
    stops: bool = True
    cuts: bool = True

    def __call__(
        self, observation: Tensor, step: Step, predict: Predict, To: int, Ta: int, max_steps: int
    ) -> Tensor:
        history, executed, done = [observation] * To, [], False
        while not done and len(executed) < max_steps:
            seen = history[:To] if self.sees == "the first" else history[-To:]
            if self.sees == "newest repeated":
                seen = [history[-1]] * To
            if self.sees == "backwards":
                seen = seen[::-1]
            trajectory = predict(torch.stack(seen))  # (T, Da)
            begin = self.start(To)
            for action in trajectory[begin : begin + self.count(Ta, len(trajectory))]:
                observation, finished = step(action)
                executed.append(action)
                if self.sees != "once per chunk":
                    history.append(observation)
                done = finished and self.stops
                if done or (self.cuts and len(executed) == max_steps):
                    break
            if self.sees == "once per chunk":
                history.append(observation)
        return torch.stack(executed)  # (length, Da)


_NOW = "The trajectory begins with the oldest observation. Now is step To-1, and so is the first action."
LOOPS = (
    ("starts each chunk at To, one step after now", _Loop(start=lambda To: To), _NOW),
    ("starts each chunk at 0, with actions for the past", _Loop(start=lambda To: 0), _NOW),
    (
        "executes the whole rest of the trajectory, not Ta actions",
        _Loop(count=lambda Ta, T: T),
        "After Ta actions it must look again: what it predicted further on was a guess.",
    ),
    (
        "executes one action only, and predicts again",
        _Loop(count=lambda Ta, T: 1),
        "That is Ta = 1 whatever Ta is: slow, and each decision may jump to another way of doing the task.",
    ),
    (
        "keeps only one observation for each chunk",
        _Loop(sees="once per chunk"),
        "Every control step gives an observation, and the history must hold the last To of those. Else "
        "neighbours in it are Ta steps apart, which training never showed.",
    ),
    (
        "fills the history with the newest observation",
        _Loop(sees="newest repeated"),
        "A history of equal observations says that nothing moves. Append each observation as it comes.",
    ),
    (
        "always shows the first To observations",
        _Loop(sees="the first"),
        "history[:To] are the oldest ones. Which slice takes the newest?",
    ),
    (
        "shows the history backwards",
        _Loop(sees="backwards"),
        "In training the oldest observation stands first and now stands last.",
    ),
    (
        "goes on after the episode is done",
        _Loop(stops=False),
        "`step` returns (observation, done): leave both loops when done is true.",
    ),
    (
        "plays a chunk to its end although max_steps is reached",
        _Loop(cuts=False),
        "The limit may fall inside a chunk: look at it after every action.",
    ),
)


# ------------------------------------------------------------------------------------------------
# an interval
# ------------------------------------------------------------------------------------------------


def wilson(function: Function) -> None:
    """Checks `function(successes (N,), episodes (N,), z ()) -> (N, 2)`, lower and upper ends.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    first = {"successes": torch.tensor([9.0, 45.0, 10.0]), "episodes": torch.tensor([10.0, 50.0, 10.0])}
    second = {"successes": torch.tensor([1.0, 0.0]), "episodes": torch.tensor([7.0, 20.0])}
    cases = [{**first, "z": torch.tensor(1.96)}, {**second, "z": torch.tensor(2.576)}]
    mistakes = [Mistake(name, _Wilson(**parts), hint) for name, parts, hint in WILSONS]
    mistakes.insert(0, Mistake("gives the textbook interval p ± z·sqrt(p(1-p)/n)", _textbook, _TEXTBOOK))
    check_function("wilson", function, _wilson, mistakes, cases, "It holds for 10 of 10 and for 0 of 20 too.")


def _wilson(successes: Tensor, episodes: Tensor, z: Tensor) -> Tensor:
    rate, shrink = successes / episodes, 1 + z**2 / episodes  # (N,)
    centre = (rate + z**2 / (2 * episodes)) / shrink  # (N,)
    half = z * (rate * (1 - rate) / episodes + z**2 / (4 * episodes**2)).sqrt() / shrink  # (N,)
    return torch.stack([centre - half, centre + half], dim=-1)  # (N, 2)


_TEXTBOOK = "It has no width at 10 of 10. Solve |p_hat - p| = z·sqrt(p(1-p)/n) for p: two roots, the ends."


def _textbook(successes: Tensor, episodes: Tensor, z: Tensor) -> Tensor:
    rate = successes / episodes
    half = z * (rate * (1 - rate) / episodes).sqrt()
    return torch.stack([rate - half, rate + half], dim=-1)  # (N, 2)


@dataclass(frozen=True)
class _Wilson:
    centre: float = 0.5  # how much of z²/n is added to the rate
    shrink: str = "both"
    extra: Callable[[Tensor, Tensor], Tensor | float] = lambda z, n: z**2 / (4 * n**2)
    root: bool = True
    outer: bool = True
    scale: float = 1.0
    swap: bool = False

    def __call__(self, successes: Tensor, episodes: Tensor, z: Tensor) -> Tensor:
        z, n = z * self.scale, episodes
        rate = successes / n
        shrink = 1 + z**2 / n
        centre = rate + self.centre * z**2 / n
        if self.shrink in ("both", "centre") and self.centre:
            centre = centre / shrink
        inside = rate * (1 - rate) / n + self.extra(z, n)
        half = (z if self.outer else 1.0) * (inside.sqrt() if self.root else inside)
        if self.shrink in ("both", "width"):
            half = half / shrink
        ends = [centre + half, centre - half] if self.swap else [centre - half, centre + half]
        return torch.stack(ends, dim=-1)  # (N, 2)


WILSONS = (
    ("gives the upper end first", {"swap": True}, "Lower end first, upper end second, on the last axis."),
    (
        "centres the interval on the observed rate",
        {"centre": 0.0},
        "The centre is pulled towards one half: (p + z²/2n) / (1 + z²/n).",
    ),
    (
        "adds z²/n to the observed rate, and not half of it",
        {"centre": 1.0},
        "The centre is (p + z²/2n) / (1 + z²/n).",
    ),
    (
        "leaves out the division by 1 + z²/n",
        {"shrink": "none"},
        "Centre and half width are both divided by it.",
    ),
    (
        "divides the centre only by 1 + z²/n",
        {"shrink": "centre"},
        "Centre and half width are both divided by it.",
    ),
    (
        "divides the half width only by 1 + z²/n",
        {"shrink": "width"},
        "Centre and half width are both divided by it.",
    ),
    (
        "leaves out z²/4n² under the root",
        {"extra": lambda z, n: 0.0},
        "This term alone gives 10 of 10 its width: p(1-p) is 0 there.",
    ),
    (
        "has z²/4n under the root, where z²/4n² belongs",
        {"extra": lambda z, n: z**2 / (4 * n)},
        "p(1-p) is divided by n once; z²/4 twice. Or take both over one n: (p(1-p) + z²/4n) / n.",
    ),
    (
        "has z/4n² under the root, where z²/4n² belongs",
        {"extra": lambda z, n: z / (4 * n**2)},
        "z is squared there.",
    ),
    (
        "has z²/2n² under the root, where z²/4n² belongs",
        {"extra": lambda z, n: z**2 / (2 * n**2)},
        "(z/2n)² is z²/4n²: the 2 is squared as well.",
    ),
    (
        "leaves out the z before the root",
        {"outer": False},
        "The half width is z deviations: z times the root.",
    ),
    ("takes no square root", {"root": False}, "What stands there is a variance; a width is its root."),
    (
        "uses half of z",
        {"scale": 0.5},
        "z already counts deviations to one side: 1.96 to each side makes 95 %.",
    ),
)


# ------------------------------------------------------------------------------------------------
# a paired comparison
# ------------------------------------------------------------------------------------------------


def paired_p_value(function: Function) -> None:
    """Checks `function(first (N,), second (N,)) -> p ()`, the two-sided sign test on the disagreements.

    Raises:
        CheckFailed: if it is wrong, with what is wrong.
    """
    cases = []
    for both, only_first, only_second, neither in (
        (60, 12, 3, 25),
        (5, 1, 6, 0),
        (8, 4, 4, 2),
        (10, 0, 0, 3),
        (3, 2, 7, 1),
    ):
        counts = torch.tensor([both, only_first, only_second, neither])
        first = torch.tensor([True, True, False, False]).repeat_interleave(counts)  # (N,)
        second = torch.tensor([True, False, True, False]).repeat_interleave(counts)  # (N,)
        cases.append({"first": first, "second": second})
    mistakes = [Mistake(name, function_, hint) for name, function_, hint in PAIRED]
    check_function(
        "paired_p_value",
        function,
        _paired,
        mistakes,
        cases,
        "Only starts on which the two disagree can tell them apart.",
    )


def _tail(k: int, n: int) -> float:
    return sum(math.comb(n, i) for i in range(k + 1)) / 2**n


def _disagreements(first: Tensor, second: Tensor) -> tuple[int, int]:
    return int((first & ~second).sum()), int((~first & second).sum())


def _paired(first: Tensor, second: Tensor) -> Tensor:
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1)) / 2**n
    return torch.tensor(min(1.0, 2 * tail))  # ()


def _unpaired(first: Tensor, second: Tensor) -> Tensor:
    n = len(first)
    pooled = (first.double().mean() + second.double().mean()) / 2
    z = (first.double().mean() - second.double().mean()).abs() / (2 * pooled * (1 - pooled) / n).sqrt()
    return torch.special.erfc(z / 2**0.5)  # ()


PAIRED = (
    (
        "gives one tail of the distribution",
        lambda f, s: torch.tensor(_tail(min(_disagreements(f, s)), sum(_disagreements(f, s)))),
        "Before looking, either policy could have been the better one: both tails count, so double it.",
    ),
    (
        "counts all successes of each policy, where only the disagreements are tosses of the coin",
        lambda f, s: torch.tensor(
            min(1.0, 2 * _tail(min(int(f.sum()), int(s.sum())), int(f.sum()) + int(s.sum())))
        ),
        "A start that both solve speaks for neither: count (first & ~second) and (~first & second).",
    ),
    (
        "gives more than 1 when the policies are equal",
        lambda f, s: torch.tensor(2 * _tail(min(_disagreements(f, s)), sum(_disagreements(f, s)))),
        "Doubled, the middle is counted twice. A probability is at most 1.",
    ),
    (
        "leaves out the outcome that was seen",
        lambda f, s: torch.tensor(
            min(1.0, 2 * _tail(min(_disagreements(f, s)) - 1, sum(_disagreements(f, s))))
        ),
        "At least as extreme as what was seen: what was seen is among them.",
    ),
    (
        "tosses a coin for every episode, not for the disagreements only",
        lambda f, s: torch.tensor(min(1.0, 2 * _tail(min(_disagreements(f, s)), len(f)))),
        "Where both succeed or both fail, nothing speaks for either: n is the number of disagreements.",
    ),
    (
        "takes the larger count",
        lambda f, s: torch.tensor(min(1.0, 2 * _tail(max(_disagreements(f, s)), sum(_disagreements(f, s))))),
        "The tail reaches from 0 to the smaller of the two counts.",
    ),
    (
        "compares the two rates as if the starts had been different ones",
        _unpaired,
        "That throws away that both saw the same starts. Count the starts on which they disagree.",
    ),
)
