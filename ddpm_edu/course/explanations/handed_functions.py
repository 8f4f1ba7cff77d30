"""How often, and with what, a student's function calls the functions that it is handed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import has_axes
from ddpm_edu.course.explanations.calls import Arguments, Fresh, Function, outcome
from ddpm_edu.course.explanations.places import value_of
from ddpm_edu.course.explanations.suspicions import Suspicion, close

Log = dict[str, list[tuple[Any, ...]]]
"""Of each function that is handed over: the arguments of its calls."""


def by_calls(
    function: Function, correct: Function, cases: Sequence[Arguments], tolerance: float
) -> tuple[Suspicion | None, str]:
    """How the calls differ from those of the course's solution, and where they begin to.

    Args:
        function: the student's.
        correct: the right one.
        cases: the calls that are wrong.
        tolerance: of values.

    Returns:
        What the student's function does, if it calls too often, too rarely or with other numbers; and a
        sentence about where it goes wrong, which may be empty.
    """
    for case in cases:
        mine, right = _log(function, case), _log(correct, case)
        for name in right:
            found, where = _differ(name, mine[name], right[name], case, tolerance)
            if found is not None or where:
                return found, where
    right = _log(correct, cases[0])
    names = " and of ".join(f"`{name}`" for name, calls in right.items() if calls)
    return None, (f"Every call of {names} is as it should be: what follows them is not." if names else "")


def _log(function: Function, case: Arguments) -> Log:
    log: Log = {name: [] for name, value in case.items() if _is_function(value)}
    outcome(function, {name: _noting(value, log.get(name)) for name, value in case.items()}, quiet=True)
    return log


def _is_function(value: Any) -> bool:
    made = value.make() if isinstance(value, Fresh) else value
    return callable(made) and not isinstance(made, torch.nn.Module)


def _noting(value: Any, calls: list[tuple[Any, ...]] | None) -> Any:
    if calls is None:
        return value
    if isinstance(value, Fresh):
        return Fresh(lambda: _noting(value.make(), calls))

    def noting(*arguments: Any, **named: Any) -> Any:
        every = (*arguments, *named.values())
        calls.append(tuple(one.clone() if isinstance(one, Tensor) else one for one in every))
        return value(*arguments, **named)

    return noting


def _differ(
    name: str, mine: Sequence[Any], right: Sequence[Any], case: Arguments, tolerance: float
) -> tuple[Suspicion | None, str]:
    if len(mine) != len(right):
        hint = "Does its loop run as often as it should?"
        what = (
            f"It calls `{name}` {_times(len(mine))}, where the course's solution does {_times(len(right))}."
        )
        return Suspicion(what, hint), ""
    for number, (given, wanted) in enumerate(zip(mine, right, strict=True)):
        pairs = sorted(enumerate(zip(given, wanted, strict=False)), key=lambda one: has_axes(one[1][0]))
        for place, (a, b) in pairs:  # a wrong number says more than the tensor that comes of it
            if _alike(a, b, tolerance):
                continue
            argument = _argument(case[name], place)
            of = f"In call {number + 1} of `{name}` "
            numbers = isinstance(a, Tensor | int | float) and torch.as_tensor(a).ndim == 0
            if numbers and isinstance(b, Tensor | int | float) and torch.as_tensor(b).ndim == 0:
                said = f"{value_of(torch.as_tensor(a))}, where {value_of(torch.as_tensor(b))} is right"
                return Suspicion(f"{of}{argument} is {said}."), ""
            if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape != b.shape:
                said = f"has the shape {tuple(a.shape)}; {tuple(b.shape)} is right"
                return Suspicion(f"{of}{argument} {said}."), ""
            for which, value in case.items():
                if isinstance(value, Tensor) and _alike(a, value, tolerance):
                    what = f"{of}{argument} is `{which}` as it came, and it should be another."
                    return Suspicion(what, "What is to be made of it before?"), ""
            for before in range(number):
                if place < len(mine[before]) and _alike(a, mine[before][place], tolerance):
                    what = f"{of}{argument} is the same as in call {before + 1}, and it should be another."
                    return Suspicion(what, "Is what was computed there written back?"), ""
            return None, f"{of}{argument} is wrong for the first time."
    return None, ""


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _argument(function: Callable[..., Any], place: int) -> str:
    """The name of an argument, or its place where the names are not to be had."""
    made = function.make() if isinstance(function, Fresh) else function
    try:
        names = list(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        names = []
    ordinal = ("first", "second", "third", "fourth")[min(place, 3)]
    return f"`{names[place]}`" if place < len(names) else f"its {ordinal} argument"


def _alike(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, Tensor | int | float) and isinstance(b, Tensor | int | float):
        return close(torch.as_tensor(a), torch.as_tensor(b), tolerance)
    return bool(a is b or a == b)
