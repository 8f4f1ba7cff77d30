"""What no check lets pass: a stub, nothing returned, a wrong type, the caller's data changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import as_wanted, read, wrong_kind
from ddpm_edu.course.explanations.calls import (
    Arguments,
    Function,
    NeverEnds,
    began,
    is_stub,
    outcome,
    students_line,
)
from ddpm_edu.course.explanations.places import shown
from ddpm_edu.course.explanations.suspicions import close


class CheckFailed(AssertionError):  # noqa: N818 - it reads as what happened
    """An exercise is not solved yet. In a notebook only the message is shown, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


def failure(exercise: str, what: str, hint: str) -> CheckFailed:
    """The message of a check that does not pass: what was found, and where to look."""
    return CheckFailed(f"{exercise}: not yet.\n  {what}\n  {hint}")


def same(answer: Any, other: Any, tolerance: float) -> bool:
    """Whether two outcomes are equal: tensors by value, errors by their type."""
    if isinstance(answer, BaseException) or isinstance(other, BaseException):
        return type(answer) is type(other)
    if isinstance(answer, tuple) and isinstance(other, tuple):
        return len(answer) == len(other) and all(map(same, answer, other, [tolerance] * len(answer)))
    if not isinstance(answer, Tensor) or not isinstance(other, Tensor):
        return False
    return close(answer.detach(), other.detach(), tolerance)


def refuse_no_answer(
    exercise: str,
    answer: Any,
    right: Any = None,
    function: Function | None = None,
    case: Arguments | None = None,
) -> None:
    """Says so where the stub is untouched, the function never ends, or it forgot to return.

    Raises:
        CheckFailed: if there is no answer.
    """
    if isinstance(answer, BaseException) and is_stub(answer):
        # The student's notebook names the function; it may be another one, which this solution calls.
        which = f" ({answer})" if str(answer) else ""
        raise failure(
            exercise,
            "The stub is still there.",
            f"Write your solution in its place{which}, run it, then check.",
        )
    if isinstance(answer, NeverEnds):
        place = students_line(answer, function) if function else ""
        raise failure(
            exercise,
            f"It does not come to an end: {answer}" + (f", in {place}." if place else "."),
            f"This was with {shown(case or {})}. What ends its loop, and does that change in the loop?",
        )
    if isinstance(answer, TypeError) and "positional argument" in str(answer) and not began(answer):
        raise failure(
            exercise, f"It could not be called: {answer}.", "Keep the stub's arguments, in their order."
        )
    if answer is None:
        raise failure(
            exercise, "Your function returns nothing (None).", "Does its last line begin with `return`?"
        )
    if isinstance(right, tuple):
        _refuse_no_parts(exercise, answer, right)
    elif not isinstance(answer, Tensor | BaseException):
        count = f" of {len(answer)}" if isinstance(answer, tuple | list) else ""
        raise failure(
            exercise,
            f"Your function returns a {type(answer).__name__}{count}.",
            "It should return a torch tensor." if right is None or right.ndim else "One number is wanted.",
        )


def _refuse_no_parts(exercise: str, answer: Any, right: tuple[Tensor, ...]) -> None:
    if isinstance(answer, BaseException):
        return
    if not isinstance(answer, tuple | list) or len(answer) != len(right):
        given = (
            f"{len(answer)} things" if isinstance(answer, tuple | list) else f"one {type(answer).__name__}"
        )
        found = f"{len(right)} tensors are wanted, and it returns {given}."
        raise failure(exercise, found, "Return them all, with commas between.")
    if not all(isinstance(part, Tensor) for part in answer):
        kinds = " and ".join(type(part).__name__ for part in answer)
        found = f"{len(right)} tensors are wanted, and it returns {kinds}."
        raise failure(exercise, found, "Which line makes each?")


def refuse_wrong_kind(exercise: str, answers: Sequence[Any], expected: Sequence[Any]) -> None:
    for answer, right in zip(answers, expected, strict=True):
        if isinstance(answer, BaseException):
            continue
        found = wrong_kind(answer, right)
        if found is not None:
            raise failure(exercise, *found)


def refuse_side_effects(exercise: str, function: Function, case: Arguments) -> None:
    """Says so where a right answer comes at the price of the caller's data.

    Raises:
        CheckFailed: if the function changes its arguments.
    """
    handed: list[Any] = []

    def keep(*arguments: Any) -> None:
        handed.extend(arguments)
        function(*arguments)

    outcome(keep, case, quiet=True)
    for (name, value), after in zip(case.items(), handed, strict=True):
        before = read(value) if isinstance(value, Tensor | list) else None
        now = read(after) if before is not None else None
        if before is not None and (not isinstance(now, Tensor) or not torch.equal(before, now)):
            raise failure(
                exercise,
                f"The answer is right, but your function changes its argument `{name}`.",
                "`*=`, `+=` and `mul_` write into the caller's tensor. Make a new one instead.",
            )


def refuse_new_answers(
    exercise: str, function: Function, case: Arguments, answer: Any, tolerance: float
) -> None:
    """Says so where a function that should only compute draws random numbers of its own.

    Raises:
        CheckFailed: if the same arguments give another answer under another seed.
    """
    again = outcome(function, case, seed=1, quiet=True)
    if isinstance(answer, Tensor | tuple) and not same(as_wanted(again, answer), answer, tolerance):
        raise failure(
            exercise,
            "Your function gives another answer each time: it draws random numbers of its own.",
            "Use the noise that is handed in, and draw none: other code must know which noise it was.",
        )
