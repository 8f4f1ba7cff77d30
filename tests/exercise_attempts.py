"""Attempts at every exercise: right ones in unlike styles, and wrong ones that stand on no list of mistakes.

    python tests/exercise_attempts.py          # counts, and what the checks say of each wrong one
    python tests/exercise_attempts.py CHECK    # of one exercise

They stand in tests/course/attempts.txt, to which the checks' diagnosis was fitted, and in four further sets,
attempts_second.txt to attempts_fifth.txt, each written before a check had been asked about it. They are run
as in a notebook's cell.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ddpm_edu.course import checks
from ddpm_edu.course.diagnosis import CheckFailed


@dataclass(frozen=True)
class Attempt:
    check: str
    source: str
    is_right: bool

    def cell(self) -> dict[str, Any]:
        """A notebook's names after the cell with this attempt: `attempt` is the function."""
        names: dict[str, Any] = {"torch": torch, "math": math, "np": np, "F": F, "RECEDING": _receding}
        name = f"<cell {hash(self.source):x}>"  # a notebook's cells have their source at hand
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(keepends=True), name)
        exec(compile(self.source, name, "exec"), names)
        return names

    def verdict(self) -> str:
        """What the check says; empty if it passes."""
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                getattr(checks, self.check)(self.cell()["attempt"])
            except CheckFailed as error:
                return str(error)
        return ""


SETS = tuple(
    Path(__file__).parent / "course" / f"attempts{name}.txt"
    for name in ("", "_second", "_third", "_fourth", "_fifth")
)
UNNAMED = (
    "Its answer is off by",
    "It raises",
    "It returns the shape",
    "Its answer holds values that are not",
)


def is_named(verdict: str) -> bool:
    """Whether a message says what the function does, and not only that, or where, its answer is wrong."""
    line = verdict.splitlines()[1].strip() if verdict else ""
    line = re.sub(r"^Of your \w+ answer: ", "", line)
    return bool(line) and not line.startswith(UNNAMED) and "entries are wrong" not in line


def attempts(check: str = "", files: Sequence[Path] = SETS) -> Iterator[Attempt]:
    """All of them, or those at one exercise."""
    for file in files:
        name = arguments = ""
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            mark, _, body = line.partition(" ")
            if mark == "##":
                name, _, arguments = body.partition(": ")
            elif mark in ("+", "-") and check in ("", name):
                inside = _one_line(body) if body else _block(lines[number + 1 :])
                yield Attempt(name, f"def attempt({arguments}):\n{inside}", mark == "+")


def _one_line(body: str) -> str:
    *steps, last = body.split("; ")
    return "".join(f"    {step}\n" for step in [*steps, f"return {last}"])


def _block(lines: Sequence[str]) -> str:
    """The indented lines at the beginning."""
    return "".join(f"{line}\n" for line in takewhile(lambda line: line.startswith("    "), lines))


def _receding(
    observation, step, predict, To, Ta, max_steps,
    first=0, more=0, less=0, begin=None, gives="", again=False, zeros=False,
):  # fmt: skip
    """Receding-horizon control, right or with a part put wrong."""
    history = [torch.zeros_like(observation)] * (To - 1) + [observation] if zeros else [observation] * To
    executed, seen = [], []
    while True:
        if again:
            history = [history[-1]] * To
        trajectory = predict(torch.stack(history[-To - first :][:To]))
        start = To - 1 if begin is None else begin
        for action in trajectory[start : start + Ta + more]:
            observation, done = step(action)
            history.append(observation)
            executed.append(action)
            seen.append(observation)
            if done or len(executed) == max_steps - less:
                return executed[-1] if gives == "last" else torch.stack(seen if gives else executed)


def main(check: str = "") -> int:
    """Prints what the checks say, and counts it; returns how many verdicts are wrong ones."""
    mistaken = 0
    for file in SETS:
        counts = {"right": 0, "refused": 0, "wrong": 0, "passed": 0, "named": 0}
        for attempt in attempts(check, [file]):
            verdict = attempt.verdict()
            said = " / ".join(line.strip() for line in verdict.splitlines()[1:2]) or "correct"
            body = "; ".join(line.strip() for line in attempt.source.splitlines()[1:])
            counts["right" if attempt.is_right else "wrong"] += 1
            if attempt.is_right:
                counts["refused"] += bool(verdict)
                if verdict:
                    print(f"REFUSED {attempt.check}: {body}\n    {' / '.join(verdict.splitlines()[1:])}")
                continue
            counts["passed"] += not verdict
            counts["named"] += is_named(verdict)
            mark = "named" if is_named(verdict) else "PASSED" if not verdict else "unnamed"
            print(f"{mark} {attempt.check}: {body}\n    {said}", flush=True)
        print(file.name, counts)
        mistaken += counts["refused"] + counts["passed"]
    return mistaken


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
