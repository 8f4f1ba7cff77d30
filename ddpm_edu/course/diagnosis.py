"""How a check finds out what is wrong with a student's function.

A check knows the right function and a list of wrong ones, each with its name: the mistakes that people make.
It calls the student's function on a few inputs. Where the answers are the right ones, whatever way they were
computed, it passes. Where they are those of a known mistake, it names the mistake. So a mistake is described
once, as code, and the tests show to the check exactly what it claims to recognise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Function = Callable[..., Any]
Arguments = dict[str, Tensor]


class CheckFailed(AssertionError):  # noqa: N818 - it reads as what happened
    """An exercise is not solved yet. In a notebook only the message is shown, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


@contextmanager
def once_solved() -> Iterator[None]:
    """For a comparison with the student's function: while its exercise is open, one line says so.

    Without it, one open exercise would stop "run all cells" at the first comparison, and all that comes after
    would lack the names that the cell makes.
    """
    try:
        yield
    except NotImplementedError as error:
        print(f"{str(error) or 'an exercise above is still open'}: this comparison waits for it.")


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer.

    Attributes:
        name: what the function does, to follow "Your function ...".
        function: it makes the mistake; called with the student's arguments.
        hint: why it is wrong, and which way to look.
    """

    name: str
    function: Function
    hint: str


def check_function(
    exercise: str,
    function: Function,
    correct: Function,
    mistakes: Iterable[Mistake],
    cases: Sequence[Arguments],
    passed: str,
    tolerance: float = 1e-4,
) -> None:
    """Compares a student's function with the right one, and with known mistakes where it differs.

    Args:
        exercise: its name, for the messages.
        function: the student's; called with each case's arguments in their order.
        correct: the right function.
        mistakes: tried in order, so the simplest come first.
        cases: arguments of the calls; several, so that no two mistakes give the same answers in all.
        passed: what was shown, printed when all answers are right.
        tolerance: answers may differ by so much (times 1 + their size): other orders of computation do.

    Raises:
        CheckFailed: if an answer is wrong; the message names the mistake.
    """
    expected = [outcome(correct, case) for case in cases]
    answers = [outcome(function, case) for case in cases]
    for answer in answers:
        refuse_no_answer(exercise, answer)
    wrong = [i for i, right in enumerate(expected) if not same(answers[i], right, tolerance)]
    if not wrong:
        for case in cases:
            refuse_side_effects(exercise, function, case)
        print(f"{exercise}: correct. {passed}")
        return

    for mistake in mistakes:
        if all(
            same(answer, outcome(mistake.function, case), tolerance)
            for case, answer in zip(cases, answers, strict=True)
        ):
            raise failure(exercise, f"Your function {mistake.name}.", mistake.hint)
    case, answer, right = cases[wrong[0]], answers[wrong[0]], expected[wrong[0]]
    refuse_new_answers(exercise, function, case, answer, tolerance)
    raise unknown(exercise, case, answer, right)


def outcome(function: Function, arguments: Arguments, seed: int = 0) -> Tensor | Exception | Any:
    """What a call gives: a tensor, the exception it raised, or whatever else it returned.

    Arguments are cloned, so that one call cannot spoil the next, and random numbers are the same in each.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            answer = function(*(value.clone() for value in arguments.values()))
        except Exception as error:
            return error
    return torch.from_numpy(answer) if isinstance(answer, np.ndarray) else answer


def same(answer: Any, other: Any, tolerance: float) -> bool:
    """Whether two outcomes are equal: tensors by value, errors by their type."""
    if isinstance(answer, Exception) or isinstance(other, Exception):
        return type(answer) is type(other)
    if not isinstance(answer, Tensor) or not isinstance(other, Tensor) or answer.shape != other.shape:
        return False
    answer, other = answer.detach().double(), other.detach().double()
    return torch.allclose(answer, other, atol=tolerance, rtol=tolerance, equal_nan=True)


def refuse_no_answer(exercise: str, answer: Any) -> None:
    """Says so where the stub is untouched, or the function forgot to return.

    Raises:
        CheckFailed: if there is no answer.
    """
    if isinstance(answer, NotImplementedError):
        # The student's notebook names the function; it may be another one, which this solution calls.
        which = f" ({answer})" if str(answer) else ""
        raise failure(
            exercise,
            "The stub is still there.",
            f"Write your solution in its place{which}, run it, then check.",
        )
    if isinstance(answer, TypeError) and "positional argument" in str(answer) and not _began(answer):
        raise failure(
            exercise, f"It could not be called: {answer}.", "Keep the stub's arguments, in their order."
        )
    if answer is None:
        raise failure(
            exercise, "Your function returns nothing (None).", "Does its last line begin with `return`?"
        )
    if not isinstance(answer, Tensor | Exception):
        raise failure(
            exercise, f"Your function returns a {type(answer).__name__}.", "It should return a torch tensor."
        )


def _began(error: Exception) -> bool:
    """Whether it was raised inside the student's function, and not by the attempt to call it."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    return frames is not None and _COURSE not in Path(frames.tb_frame.f_code.co_filename).parents


_COURSE = Path(__file__).parent


def refuse_side_effects(exercise: str, function: Function, case: Arguments) -> None:
    """Says so where a right answer comes at the price of the caller's data.

    Raises:
        CheckFailed: if the function changes its arguments.
    """
    arguments = {name: value.clone() for name, value in case.items()}
    outcome(lambda *_: function(*arguments.values()), case)
    for name, value in case.items():
        if not torch.equal(arguments[name], value):
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

    if isinstance(answer, Tensor) and not same(outcome(function, case, seed=1), answer, tolerance):
        raise failure(
            exercise,
            "Your function gives another answer each time: it draws random numbers of its own.",
            "Use the noise that is handed in, and draw none: other code must know which noise it was.",
        )


def unknown(exercise: str, case: Arguments, answer: Tensor | Exception, right: Tensor) -> CheckFailed:
    """What can be said about an answer that no known mistake explains."""
    # A number is shown as it is: its shape () says nothing.
    shapes = ", ".join(
        f"{name} {tuple(value.shape) if value.ndim else f'{value.item():.4g}'}"
        for name, value in case.items()
    )
    if isinstance(answer, Exception):
        what = f"It raises {type(answer).__name__}: {answer}"
    elif answer.shape != right.shape:
        what = f"It returns the shape {tuple(answer.shape)}; {tuple(right.shape)} is wanted."
    elif not torch.isfinite(answer).all():
        what = "Its answer holds values that are not finite (nan or inf)."
    else:
        difference = (answer.double() - right.double()).abs()
        place = tuple(int(i) for i in np.unravel_index(int(difference.argmax()), tuple(difference.shape)))
        what = (
            f"Its answer is off by up to {difference.max():.3g}; at {list(place)} it is "
            f"{answer[place]:.4g}, where {right[place]:.4g} is right."
        )
    return failure(
        exercise, what, f"This was with {shapes}. Open the first hint, or print the parts one by one."
    )


def failure(exercise: str, what: str, hint: str) -> CheckFailed:
    """The message of a check that does not pass: what was found, and where to look."""
    return CheckFailed(f"{exercise}: not yet.\n  {what}\n  {hint}")
