"""All exercises of the course: what no check may pass, and every listed mistake named."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from exercise_checks import message_of

from ddpm_edu.course import checks, diagnosis
from ddpm_edu.course.build import read_course
from ddpm_edu.course.diagnosis import Mistake
from ddpm_edu.paths import course_notebooks

CHECKS = sorted(
    {exercise.check for source in read_course(course_notebooks()) for exercise in source.exercises}
)


def stub(*arguments: Any, **named: Any) -> None:
    raise NotImplementedError("write it here")


def like_the_first(make: Callable[[Any], Any]) -> Callable[..., Any]:
    def answer(*arguments: Any, **named: Any) -> Any:
        return make(arguments[0])

    return answer


NOT_SOLVED = {
    "stub": stub,
    "None": lambda *arguments, **named: None,
    "a number": lambda *arguments, **named: 0.5,
    "zero": lambda *arguments, **named: torch.tensor(0.0),
    "one": lambda *arguments, **named: torch.tensor(1.0),
    "True": lambda *arguments, **named: True,
    "an empty tensor": lambda *arguments, **named: torch.zeros(0),
    "zeros": like_the_first(torch.zeros_like),
    "ones": like_the_first(torch.ones_like),
    "nan": like_the_first(lambda value: torch.full_like(value, float("nan"))),
    "its argument": like_the_first(lambda value: value),
    "noise": like_the_first(torch.randn_like),
    "an error": lambda *arguments, **named: 1 / 0,
    "no arguments": lambda: None,
}


def test_every_check_is_found_beside_its_notebook_and_used_there() -> None:
    beside = {
        (source.path.stem, exercise.check)
        for source in read_course(course_notebooks())
        for exercise in source.exercises
    }
    found = {(getattr(checks, name).__module__.split(".")[2][1:], name) for name in checks.names()}
    assert beside == found
    assert set(CHECKS) <= set(dir(checks))


def test_an_unknown_check_is_told_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no check 'forward_proces'; the checks are .*forward_process"):
        _ = checks.forward_proces


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_passes_what_is_not_solved(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "SEARCH_SECONDS", 0.03)  # these are no slips
    for kind, function in NOT_SOLVED.items():
        message = message_of(getattr(checks, name), function)
        assert ": not yet.\n" in message, f"{kind}: {message}"
        assert 2 <= len(message.splitlines()) <= 6, f"{kind}: {message}"
    assert "stub is still there" in message_of(getattr(checks, name), stub)
    assert capsys.readouterr().out == ""


@dataclass
class Told:
    """What a check said, and which mistakes it knows by name."""

    message: str
    mistakes: list[Mistake]


def tell(name: str, instead: Callable[..., Any] | None = None) -> Told:
    """Runs a check on a stub.

    Args:
        name: the check.
        instead: goes to `check_function` in the stub's place: a check may wrap the student's function before
            it hands it on, and mistakes take the arguments that `check_function` gives.
    """
    module = sys.modules[getattr(checks, name).__module__]
    original = getattr(module, "check_function", None)
    mistakes: list[Mistake] = []

    def spy(*arguments: Any, **named: Any) -> None:
        call = inspect.signature(original).bind(*arguments, **named)
        call.arguments["mistakes"] = list(call.arguments["mistakes"])
        mistakes.extend(call.arguments["mistakes"])
        call.arguments["function"] = instead or call.arguments["function"]
        original(*call.args, **call.kwargs)

    with mock.patch.object(module, "check_function", spy) if original else contextlib.nullcontext():
        message = message_of(getattr(checks, name), stub)
    if not mistakes:  # a check of another kind, whose mistakes are written down in its module
        mistakes = list(listed_in(module))
        message = message_of(getattr(checks, name), instead or stub)
    return Told(message, mistakes)


def listed_in(module: ModuleType) -> Iterator[Mistake]:
    for value in vars(module).values():
        if isinstance(value, tuple | list) and value and all(isinstance(one, Mistake) for one in value):
            yield from value


@pytest.mark.parametrize("name", CHECKS)
def test_listed_mistakes_are_told_apart(name: str) -> None:
    mistakes = tell(name).mistakes
    names = [mistake.name for mistake in mistakes]
    assert len(set(names)) == len(names)
    assert len(names) >= 4
    for mistake in mistakes:
        assert mistake.hint.strip(), mistake.name
        if ", and " in mistake.name:
            continue  # two listed ones at once; the check's own test tries their combinations
        message = tell(name, mistake.function).message
        assert f"Your function {mistake.name}." in message, message
        assert mistake.hint in message
