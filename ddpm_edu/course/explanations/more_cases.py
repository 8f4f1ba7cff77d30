"""Further calls, by which explanations of a wrong answer are told apart.

The cases of a check tell right answers from wrong ones. Two explanations may give the same few numbers by
chance; so where all arguments are plain numbers and lists, those of different cases are mixed, and whole
numbers are taken a little larger.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ddpm_edu.course.explanations.answers import as_wanted
from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, outcome

MOST = 10
"""So many further calls of each kind at most."""


def with_more(
    function: Function, correct: Function, cases: Sequence[Arguments], answers: Sequence[Any]
) -> tuple[list[Arguments], list[Any], list[Any]]:
    """The cases and further ones, with the right answers and the student's.

    A further call in which either function raises tells nothing, and is left out.

    Args:
        function: the student's.
        correct: the right one.
        cases: those of the check.
        answers: the student's, of each.
    """
    every, expected, given = list(cases), [outcome(correct, case) for case in cases], list(answers)
    for case in _mixed(cases):
        right = outcome(correct, case, quiet=True, seconds=MOMENT)
        if isinstance(right, BaseException):
            continue
        answer = as_wanted(outcome(function, case, quiet=True, seconds=MOMENT), right)
        if isinstance(answer, type(right)):
            every.append(case)
            expected.append(right)
            given.append(answer)
    return every, expected, given


def _mixed(cases: Sequence[Arguments]) -> list[Arguments]:
    """Arguments of several cases, and numbers between them; what is smaller in all cases stays smaller."""
    names, count = list(cases[0]), len(cases)
    values = [value for case in cases for value in case.values()]
    if count < 3 or len(names) < 2:
        return []
    if not all(isinstance(one, int | float | list) and not isinstance(one, bool) for one in values):
        return []
    numbers = [name for name in names if not isinstance(cases[0][name], list)]
    below = [
        (a, b) for a, b in itertools.permutations(numbers, 2) if all(case[a] <= case[b] for case in cases)
    ]
    whole = [name for name in numbers if all(isinstance(case[name], int) for case in cases)]
    found: list[Arguments] = []

    def keep(case: Arguments) -> None:
        if case not in found and case not in cases and all(case[a] <= case[b] for a, b in below):
            found.append(case)

    for case, name, more in itertools.product(cases, whole, (1, 2)):
        if case[name] + more < max(one[name] for one in cases):
            keep({**case, name: case[name] + more})
    found = found[:: max(1, len(found) // MOST)][:MOST]
    most = len(found) + MOST
    for shift, first in itertools.product(range(1, count), range(count)):
        keep({name: cases[(first + shift * place) % count][name] for place, name in enumerate(names)})
    return found[:most]
