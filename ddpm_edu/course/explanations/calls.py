"""Calling a student's function: on copies, with a limit of time, and where in it an error arose."""

from __future__ import annotations

import contextlib
import dis
import inspect
import io
import linecache
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor

from ddpm_edu.course.explanations.answers import read

Function = Callable[..., Any]
Arguments = Mapping[str, Any]

SECONDS = 10.0
"""So long may a call of a student's function compute; the checks' inputs are small."""
AGAIN = 0.05
"""So long after a call was stopped it is stopped again, if it caught that."""
MOMENT = 0.1
"""So long when something is tried: of a thousand changed functions some never end."""
_COURSE = Path(__file__).parents[1]


class NeverEnds(BaseException):
    """A call was stopped after its time. No `Exception`: a student's `except Exception` lets it pass."""


@dataclass(frozen=True)
class Fresh:
    """An argument that is made anew for each call, as a world that its `step` moves.

    Attributes:
        make: makes it.
    """

    make: Callable[[], Any]


def outcome(
    function: Function, arguments: Arguments, seed: int = 0, quiet: bool = False, seconds: float = 0
) -> Any:
    """What a call gives: its answer as `answers.read` has it, or the exception that it raised.

    Arguments are cloned, so that one call cannot spoil the next, and random numbers are the same in each.

    Args:
        function: called with the arguments in their order.
        arguments: tensors, numbers, lists and functions, by name.
        seed: of torch's random numbers during the call; those of the notebook stay as they are.
        quiet: whether what it prints and warns of is dropped.
        seconds: how long it may take; 0 means `SECONDS`.
    """
    with apart(quiet):
        return attempt(function, arguments, seed, seconds)


@contextlib.contextmanager
def apart(quiet: bool = True) -> Iterator[None]:
    """What is called here leaves the notebook's random numbers alone; quietly, if wanted."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        if quiet:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield


def attempt(function: Function, arguments: Arguments, seed: int = 0, seconds: float = 0) -> Any:
    """`outcome` within `apart`, for many calls in a row."""
    handed = [_handed(value) for value in arguments.values()]
    torch.default_generator.manual_seed(seed)  # torch.manual_seed notes a stack for CUDA: half of a search
    try:
        with _limited(seconds or SECONDS):
            answer = function(*handed)
    except (Exception, NeverEnds) as error:
        return error
    return read(answer)


def _handed(value: Any) -> Any:
    if isinstance(value, Fresh):
        return value.make()
    if isinstance(value, Tensor):
        return value.clone()
    return list(value) if isinstance(value, list) else value


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Stops what computes too long, where the system counts that (not on Windows, nor in other threads).

    It counts the process's own time: a machine may be busy with something else.

    Raises:
        NeverEnds: after so many seconds.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise NeverEnds(f"it was stopped after {seconds:g} seconds of computing")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, AGAIN)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:  # even if it was stopped once more just before
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def is_stub(error: BaseException) -> bool:
    """Whether an exception comes of a `raise NotImplementedError` that stands in a stub.

    torch raises it too, for what it cannot compute; that is an error like others.
    """
    if not isinstance(error, NotImplementedError) or error.__traceback__ is None:
        return False
    last = _last(error.__traceback__)
    opcode = last.tb_frame.f_code.co_code[last.tb_lasti]
    return (
        dis.opname[opcode] == "RAISE_VARARGS" and "torch" not in Path(last.tb_frame.f_code.co_filename).parts
    )


def began(error: BaseException) -> bool:
    """Whether an exception was raised inside the student's function, and not by the attempt to call it."""
    if error.__traceback__ is None:
        return False
    return _COURSE not in Path(_last(error.__traceback__).tb_frame.f_code.co_filename).parents


def _last(frames: TracebackType) -> TracebackType:
    while frames.tb_next is not None:
        frames = frames.tb_next
    return frames


def students_line(error: BaseException, function: Function) -> str:
    """Where in the student's code an exception arose, as `line 3, `return x[k + 1]``; empty if unknown.

    That is the last place that is neither the course's nor a library's.
    """
    frames, found = error.__traceback__, None
    while frames is not None:
        path = Path(frames.tb_frame.f_code.co_filename)
        if _COURSE.parent not in path.parents and not {"site-packages", "lib"} & set(path.parts):
            found = frames
        frames = frames.tb_next
    if found is None:
        return ""
    inside = found.tb_frame.f_code
    number = found.tb_lineno - inside.co_firstlineno + 1
    source = linecache.getline(inside.co_filename, found.tb_lineno).strip()
    outer = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_name", inside.co_name)
    known = (outer, "<lambda>", "<listcomp>", "<genexpr>")
    of = "" if inside.co_name in known else f" of {inside.co_name}"
    return f"line {number}{of}" + (f", `{source}`" if source else "")


def is_read(function: Function, place: int) -> bool:
    """Whether a function reads its argument number `place`, as far as its code can be had."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or place >= code.co_argcount:
        return False
    name = code.co_varnames[place]
    return any(step.argval == name and step.opname.startswith("LOAD") for step in dis.get_instructions(code))


def globals_read(function: Function) -> list[str]:
    """Tensors and numbers that a function reads from the notebook, and not from its arguments."""
    function = inspect.unwrap(function)
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    if code is None:
        return []
    read_there = {
        step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return sorted(
        name
        for name in read_there
        if isinstance(names.get(name), Tensor | int | float | list) and not isinstance(names[name], bool)
    )
