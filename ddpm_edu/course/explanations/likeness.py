"""Whether a wrong function that is known gives a student's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import as_wanted
from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, attempt
from ddpm_edu.course.explanations.refusals import same


def likeness_of(
    function: Function,
    answers: Sequence[Any],
    expected: Sequence[Any],
    cases: Sequence[Arguments],
    wrong: Sequence[int],
    tolerance: float,
    listed: bool = False,
) -> str:
    """Whether a function gives the student's answers: "exact", "where defined" or "".

    Where it is nan or raises, and the student's answer is a number, it is not defined: who fills a mask with
    -1e9 makes the mistake of one who fills it with -inf. An error alone is no likeness.

    Args:
        function: a known mistake, or a right function with a slip.
        answers: the student's, of each case.
        expected: the right ones.
        cases: the arguments.
        wrong: the cases that the student has wrong: they are tried first.
        tolerance: of values.
        listed: whether somebody wrote it down: then a value in any case will do, beside the same errors.
    """
    order = [*wrong, *(i for i in range(len(cases)) if i not in wrong)]
    values = undefined = 0
    exact = True
    for i in order:
        other = as_wanted(attempt(function, cases[i], seconds=MOMENT), answers[i])
        counts = listed or i in wrong
        if same(answers[i], other, tolerance):
            values += counts and not isinstance(other, BaseException)
            continue
        exact = False
        if isinstance(answers[i], Tensor) and (
            isinstance(other, BaseException) or _none_finite(answers[i], other)
        ):
            undefined += 1
        elif _same_where_finite(answers[i], other, tolerance):
            values += counts and _says_something(answers[i], other, expected[i], tolerance)
        else:
            return ""
    return "" if values <= undefined else "exact" if exact else "where defined"


def _same_where_finite(answer: Any, other: Any, tolerance: float) -> bool:
    if not isinstance(answer, Tensor) or not isinstance(other, Tensor) or answer.shape != other.shape:
        return False
    finite = torch.isfinite(other)
    return bool(finite.double().mean() >= 0.3) and same(answer[finite], other[finite], tolerance)


def _says_something(answer: Tensor, other: Tensor, right: Any, tolerance: float) -> bool:
    """Whether they agree in a wrong entry too, and not only where the student is right."""
    finite = torch.isfinite(other)
    return not isinstance(right, Tensor) or not same(answer[finite], right[finite], tolerance)


def _none_finite(answer: Tensor, other: Any) -> bool:
    """Whether both hold nothing but nan and inf: 0 / 0 and 1 / 0 are one mistake."""
    same_shape = isinstance(other, Tensor) and answer.shape == other.shape
    return same_shape and not bool(torch.isfinite(answer).any() or torch.isfinite(other).any())
