"""What can be said of a wrong answer that nothing explains: which calls are wrong, and where in them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from ddpm_edu.course.explanations import handed_functions, partly, raised, suspicions
from ddpm_edu.course.explanations.answers import of_equal_shape
from ddpm_edu.course.explanations.calls import Arguments, Function, apart, students_line
from ddpm_edu.course.explanations.conditions import right_where, wrong_just_where
from ddpm_edu.course.explanations.on_the_way import right_so_far
from ddpm_edu.course.explanations.places import shown, where_wrong
from ddpm_edu.course.explanations.refusals import CheckFailed, failure
from ddpm_edu.course.explanations.small_examples import small_example
from ddpm_edu.course.explanations.suspicions import Suspicion

TOLERANCE = 1e-4
SECONDS = 0.6
"""So long, at most, circumstances are looked for."""


@functools.cache
def letters_in(exercise: str) -> Mapping[str, Sequence[str]]:
    """The axes of an exercise's arguments, as its check's docstring has them."""
    from ddpm_edu.course import checks

    return suspicions.letters_of(getattr(checks, exercise).__doc__ if exercise in checks.names() else None)


def is_explained(error: BaseException, case: Arguments, exercise: str) -> bool:
    """Whether it can be said why this call raised that."""
    return raised.explained(error, case, letters_in(exercise)) is not None


def unknown(
    exercise: str,
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    answers: Sequence[Any],
    expected: Sequence[Any],
    wrong: Sequence[int],
) -> CheckFailed:
    """What can be said about an answer that nothing explains: which calls are wrong, and where in them."""
    errors = [i for i in wrong if isinstance(answers[i], BaseException)]
    at = errors[0] if errors else wrong[0]
    letters = letters_in(exercise)
    when = partly.when(cases, wrong)
    hint = f"This was with {shown(cases[at])}. {'' if when else _which(cases, wrong)}"
    found = None
    if errors:
        error = answers[at]
        what = f"It raises {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        place = students_line(error, function)
        what += f"\n  in {place}" if place else ""
        found = raised.explained(error, cases[at], letters)
    else:
        what = where_wrong(answers[at], expected[at])
        just = wrong_just_where(cases, answers, expected, letters)
        what += f"\n  It is wrong where {just}, and right everywhere else." if just else ""
        found, where = handed_functions.by_calls(function, correct, [cases[i] for i in wrong], TOLERANCE)
        found = found or _partly(answers, expected)
        hint += f"{where} " if where else ""
    if found is None:
        with apart():
            if not when:
                said = right_where(function, correct, cases, wrong, letters, TOLERANCE, SECONDS)
                what += f"\n  It is right where {said}." if said else ""
            several = [] if errors else [cases[i] for i in wrong]
            example = small_example(function, correct, several, letters, TOLERANCE)
            so_far = right_so_far(function, correct, several, TOLERANCE) if several else ""
        hint = f"{example} " if example else hint
        hint += f"{so_far} " if so_far else ""
    what = f"{found.what}\n  {what}" if found else what
    hint += found.hint if found else "Open the first hint, or print the parts."
    if when:
        what = f"It is right where {when}, and wrong in the {len(wrong)} other calls.\n  {what}"
    return failure(exercise, what, hint)


def _partly(answers: Sequence[Any], expected: Sequence[Any]) -> Suspicion | None:
    """What holds for most entries, or in the calls that give the right shape."""
    pairs = [(a.detach(), r) for a, r in zip(answers, expected, strict=True) if of_equal_shape(a, r)]
    return suspicions.first(partly.partly(*zip(*pairs, strict=True), TOLERANCE)) if pairs else None


def _which(cases: Sequence[Arguments], wrong: Sequence[int]) -> str:
    """Which calls are right, told by the arguments that are plain numbers."""
    if len(wrong) == len(cases):
        return ""
    right = [i for i in range(len(cases)) if i not in wrong]
    good = "; ".join(dict.fromkeys(shown(cases[i], numbers_first=True) for i in right[:2]))
    return f"Right is it in {len(right)} of {len(cases)} calls, as with {good}. "
