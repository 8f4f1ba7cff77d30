"""How a check finds out what is wrong with a student's function.

A check knows the right function and a list of wrong ones, each with its name: the mistakes that people make.
It calls the student's function on a few inputs. Where the answers are the right ones, whatever way they were
computed, it passes. Where they are those of a known mistake, it names the mistake. So a mistake is described
once, as code, and the tests show to the check exactly what it claims to recognise.

What stands on no list is looked for as well: what the answers have to do with the right ones (`suspicions`),
what the function makes of its arguments (`unused`), and which slip in the right function gives the same
(`slips`). Only then a check says no more than which calls are right and which are wrong (`places`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations import formulas, repairs, shapes, slips, suspicions
from ddpm_edu.course.explanations.answers import as_wanted, hand_on, of_equal_shape, parts_of
from ddpm_edu.course.explanations.calls import Arguments, Fresh, Function, apart, is_stub, outcome
from ddpm_edu.course.explanations.influence import by_influence
from ddpm_edu.course.explanations.likeness import likeness_of
from ddpm_edu.course.explanations.more_cases import with_more
from ddpm_edu.course.explanations.refusals import (
    CheckFailed,
    failure,
    refuse_new_answers,
    refuse_no_answer,
    refuse_side_effects,
    refuse_wrong_kind,
    same,
)
from ddpm_edu.course.explanations.small_examples import small_example
from ddpm_edu.course.explanations.suspicions import Suspicion
from ddpm_edu.course.explanations.two_at_once import two_at_once
from ddpm_edu.course.explanations.unexplained import is_explained, letters_in, unknown
from ddpm_edu.course.explanations.unused import (
    about_arguments,
    misread_arguments,
    needed_arguments,
    without_effect,
)

__all__ = ["Arguments", "CheckFailed", "Fresh", "Function", "failure", "outcome", "same"]

SEARCH_SECONDS = 1.2
"""So long, at most, each search for what nobody wrote down takes."""


@contextmanager
def once_solved() -> Iterator[None]:
    """For a comparison with the student's function: while it is open or not right yet, one line says so.

    Without it, one exercise would stop "run all cells" at the first comparison, and all that comes after
    would lack the names that the cell makes.
    """
    try:
        yield
    except Exception as error:
        if is_stub(error):
            print(f"{str(error) or 'an exercise above is still open'}: this comparison waits for it.")
            return
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        print(f"not equal yet ({reason[:160]}): what does the check of your function say?")


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


def on_tensors(mistake: Mistake) -> Mistake:
    """A mistake that is written for tensors, where students get plain numbers and lists."""
    return Mistake(mistake.name, with_tensors(mistake.function), mistake.hint)


def with_tensors(function: Function) -> Function:
    """Hands numbers and lists over as tensors."""

    def call(*arguments: Any) -> Any:
        return function(*(torch.as_tensor(a) if isinstance(a, int | float | list) else a for a in arguments))

    return call


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
        correct: the right function; a plain `def`, if slips in it are to be found.
        mistakes: tried in order, so the simplest come first.
        cases: arguments of the calls, as students are promised them: numbers are no tensors. Several, so that
            no two mistakes give the same answers in all.
        passed: what was shown, printed when all answers are right.
        tolerance: answers may differ by so much (times 1 + their size): other orders of computation do.

    Raises:
        CheckFailed: if an answer is wrong; the message says what is wrong, as far as can be found out.
    """
    expected = [outcome(correct, case) for case in cases]
    answers: list[Any] = []
    for case, right in zip(cases, expected, strict=True):
        answers.append(as_wanted(outcome(function, case), right))
        refuse_no_answer(exercise, answers[-1], right, function, case)
    wrong = [i for i, right in enumerate(expected) if not same(answers[i], right, tolerance)]
    if not wrong:
        refuse_wrong_kind(exercise, answers, expected)
        for case in cases:
            refuse_side_effects(exercise, function, case)
        note = _handed_on(function, correct, cases[0])
        print(f"{exercise}: correct. {passed}" + (f"\n  {note}" if note else ""))
        return

    found, listed = None, list(mistakes)
    with apart():
        every, rights, given = with_more(function, correct, cases, answers)
        others = [i for i, right in enumerate(rights) if not same(given[i], right, tolerance)]
        # An error is no answer: a mistake is recognised by the values that it gives.
        some_value = any(not isinstance(answer, BaseException) for answer in answers)
        for mistake in listed if some_value else ():
            if likeness_of(mistake.function, given, rights, every, others, tolerance, listed=True) == "exact":
                raise failure(exercise, f"Your function {mistake.name}.", mistake.hint)
    if not any(isinstance(answers[i], BaseException) for i in wrong):
        refuse_new_answers(exercise, function, cases[wrong[0]], answers[wrong[0]], tolerance)
    with apart():
        if some_value:
            found = _explained(exercise, function, correct, listed, every, rights, given, others, tolerance)
        errors = [i for i in wrong if isinstance(answers[i], BaseException)]
        if found is None and errors:
            simple = is_explained(answers[errors[0]], cases[errors[0]], exercise) or None
            found = repairs.repair(function, every, rights, others, tolerance, SEARCH_SECONDS, simple)
            if found is not None:
                raises = f"{type(answers[errors[0]]).__name__}: {answers[errors[0]]}".splitlines()[0]
                found = Suspicion(f"{found.what}\n  As it is, it raises {raises}", found.hint)
    if found is not None:
        raise failure(exercise, found.what, found.hint)
    raise unknown(exercise, function, correct, cases, answers, expected, wrong)


def _explained(
    exercise: str,
    function: Function,
    correct: Function,
    mistakes: Sequence[Mistake],
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    answers: Sequence[Any],
    wrong: Sequence[int],
    tolerance: float,
) -> Suspicion | None:
    """What the function does, if it can be found out; what is simple and sure before what is searched for."""
    errors = any(isinstance(answers[i], BaseException) for i in wrong)
    found = None
    if not errors:
        found = _suspicion(exercise, function, correct, cases, expected, answers, tolerance)
    maybe = None
    if found is None and not errors:
        found = repairs.repair(function, cases, expected, wrong, tolerance, SEARCH_SECONDS / 2, simple=True)
    if found is None:
        found, maybe = _slip(SIMPLE, correct, answers, expected, cases, wrong, tolerance)
    for mistake in mistakes if found is None else ():
        if likeness_of(mistake.function, answers, expected, cases, wrong, tolerance, listed=True):
            return Suspicion(f"Your function {mistake.name}.", mistake.hint)
    if found is not None or errors:
        return found or maybe
    listed = [(mistake.name, mistake.hint, mistake.function) for mistake in mistakes]
    letters, half = letters_in(exercise), SEARCH_SECONDS / 2
    return (
        repairs.repair(function, cases, expected, wrong, tolerance, SEARCH_SECONDS, simple=False)
        or _slip([slips.insertions_into], correct, answers, expected, cases, wrong, tolerance)[0]
        or maybe
        or suspicions.first(two_at_once(listed, cases, answers, tolerance, half))
        or suspicions.first(needed_arguments(function, cases, expected, tolerance))
        or _two_slips(correct, answers, expected, cases, wrong, tolerance)
        or _formula(exercise, function, correct, cases, expected, answers, tolerance)
        or suspicions.first(without_effect(function, correct, cases, expected, answers, tolerance))
        or suspicions.first(
            by_influence(function, correct, cases, expected, answers, wrong, letters, tolerance, half)
        )
    )


def _suspicion(
    exercise: str,
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    answers: Sequence[Any],
    tolerance: float,
) -> Suspicion | None:
    axes = letters_in(exercise)
    if isinstance(expected[0], tuple):
        if not all(isinstance(answer, tuple) and len(answer) == len(expected[0]) for answer in answers):
            return None
        for part in range(len(expected[0])):
            pairs = [(a[part], r[part]) for a, r in zip(answers, expected, strict=True)]
            if all(same(a, r, tolerance) for a, r in pairs):
                continue
            found = _of_pairs(pairs, cases, axes, tolerance)
            if found is not None:
                which = ("first", "second", "third", "fourth", "fifth")[part]
                return Suspicion(f"Of your {which} answer: {found.what}", found.hint)
        return suspicions.first(about_arguments(function, correct, cases, expected, answers, tolerance))
    pairs = list(zip(answers, expected, strict=True))
    return (
        _of_pairs(pairs, cases, axes, tolerance)
        or suspicions.first(about_arguments(function, correct, cases, expected, answers, tolerance))
        or _of_axes(pairs, cases, axes)
    )


def _formula(
    exercise: str,
    function: Function,
    correct: Function,
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    answers: Sequence[Any],
    tolerance: float,
) -> Suspicion | None:
    """What the answers are made of, where they are tensors of the right shapes."""
    pairs = list(zip(answers, expected, strict=True))
    if not all(of_equal_shape(a, r) for a, r in pairs):
        return None
    axes = letters_in(exercise)
    found = suspicions.first(formulas.by_formula(correct, pairs, cases, axes, tolerance, SEARCH_SECONDS))
    example = small_example(function, correct, cases, axes, tolerance) if found else ""
    return Suspicion(found.what, example or found.hint) if found else None


def _of_pairs(
    pairs: suspicions.Pairs,
    cases: Sequence[Arguments],
    letters: Mapping[str, Sequence[str]],
    tolerance: float,
) -> Suspicion | None:
    if any(a.shape != r.shape for a, r in pairs):
        return suspicions.first(shapes.by_shape(pairs, letters.get(""), tolerance))
    full = [i for i, (_, right) in enumerate(pairs) if right.numel()]  # of nothing there is nothing to say
    some, theirs = [pairs[i] for i in full], [cases[i] for i in full]
    return suspicions.first(suspicions.by_value(some, theirs, letters, tolerance)) if full else None


def _of_axes(
    pairs: suspicions.Pairs, cases: Sequence[Arguments], letters: Mapping[str, Sequence[str]]
) -> Suspicion | None:
    if all(a.shape == r.shape for a, r in pairs):
        return None
    sizes = [suspicions.sizes_of(case, letters) for case in cases]
    return suspicions.first(shapes.by_axes(pairs, letters.get(""), sizes))


SIMPLE = (slips.small_slips, slips.slips_everywhere)


def _slip(
    searches: Sequence[Callable[[Function], Iterator[slips.Slip]]],
    correct: Function,
    answers: Sequence[Any],
    expected: Sequence[Any],
    cases: Sequence[Arguments],
    wrong: Sequence[int],
    tolerance: float,
) -> tuple[Suspicion | None, Suspicion | None]:
    """The slip in the right function that gives the student's answers, if one is found in time.

    The second is one that gives them where it is defined at all.
    """
    promising = all(
        isinstance(answer, BaseException | tuple)
        or (answer.shape == right.shape and bool(torch.isfinite(answer).any()))
        for answer, right in zip(answers, expected, strict=True)
    )
    maybe = None
    for search in searches if promising else [one for one in searches if one is slips.small_slips]:
        until = time.process_time() + 0.8 * SEARCH_SECONDS
        for slip in search(correct):
            if time.process_time() > until:
                break
            likeness = likeness_of(slip.function, answers, expected, cases, wrong, tolerance)
            if likeness == "exact":
                return _of_slip(slip), None
            if likeness and maybe is None:
                maybe = _of_slip(slip)
        if search is slips.small_slips and not all(isinstance(answer, BaseException) for answer in answers):
            found = suspicions.first(misread_arguments(correct, cases, answers, tolerance))
            if found is not None:
                return found, None
    return None, maybe


def _two_slips(
    correct: Function,
    answers: Sequence[Any],
    expected: Sequence[Any],
    cases: Sequence[Arguments],
    wrong: Sequence[int],
    tolerance: float,
) -> Suspicion | None:
    """Two slips together; so few numbers as some answers hold are met by some pair by chance."""
    if _numbers_in(answers, wrong) < 5:
        return None
    return _slip([slips.pairs_of_slips], correct, answers, expected, cases, wrong, tolerance)[0]


def _numbers_in(answers: Sequence[Any], wrong: Sequence[int]) -> int:
    """How many unlike numbers wrong answers hold; of masks a twelfth of their entries counts."""
    parts = [part for i in wrong for part in parts_of(answers[i])]
    entries = [part.detach().double().flatten() for part in parts if isinstance(part, Tensor)]
    joined = torch.cat(entries) if entries else torch.zeros(0)
    return max(len(joined.unique()), len(joined) // 12)


def _of_slip(slip: slips.Slip) -> Suspicion:
    return Suspicion(
        f"Your answers are those of a right solution in which {slip.what()}.",
        "Names and lines are those of that solution; look for the like in yours.",
    )


def _handed_on(function: Function, correct: Function, case: Arguments) -> str:
    """Right answers in another form than later cells need are converted; the sentence that says so."""
    raw: list[Any] = []

    def keep(wrapped: Function) -> Callable[..., None]:
        return lambda *arguments: raw.append(wrapped(*arguments))

    for one in (function, correct):
        if isinstance(outcome(keep(one), case, quiet=True), BaseException):
            return ""
    doubles = any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in case.values())
    return hand_on(function, *raw, doubles)
