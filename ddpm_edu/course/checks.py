"""The checks of the exercises: `checks.forward_process(your_function)` says "correct" or what is wrong.

They stand beside each notebook, in `course/nNN_…/checks*.py`, and are found there: every
`def NAME(function: Function) -> None:` is a check. A new notebook brings its own folder, and no list grows.
"""

import importlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ddpm_edu.course.diagnosis import once_solved

__all__ = ["names", "once_solved"]

_ROOMS = Path(__file__).parent
_CHECK = re.compile(r"^def ([a-z]\w*)\(function: Function\) -> None:", flags=re.MULTILINE)


@cache
def _homes() -> dict[str, str]:
    """The module in which each check stands, read off its text: none is imported before it is used.

    Raises:
        RuntimeError: if two notebooks have a check of one name.
    """
    homes: dict[str, str] = {}
    for path in sorted(_ROOMS.glob("n[0-9][0-9]_*/checks*.py")):
        module = f"ddpm_edu.course.{path.parent.name}.{path.stem}"
        for name in _CHECK.findall(path.read_text(encoding="utf-8")):
            if name in homes:
                raise RuntimeError(f"{homes[name]} and {module} both have a check {name!r}; rename one")
            homes[name] = module
    return homes


def names() -> tuple[str, ...]:
    """The names of all checks."""
    return tuple(_homes())


def __getattr__(name: str) -> Callable[..., None]:
    if name not in _homes():
        raise AttributeError(f"there is no check {name!r}; the checks are {', '.join(sorted(_homes()))}")
    return getattr(importlib.import_module(_homes()[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *_homes()]
