"""Which of the known names somebody may have meant by one that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

_LIKE_ENOUGH = 0.7


def nearest(asked: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names nearest to one that is not: abbreviations first, then shared words, then like spelling.

    Args:
        asked: words joined by hyphens, such as "lr", "fraction" or "learning-rat".
        known: the names that there are.
        most: return so many at most; none where nothing is near.
    """
    near = {name: _nearness(asked, name) for name in known}
    found = sorted((name for name in near if near[name] >= _LIKE_ENOUGH), key=lambda name: -near[name])
    return found[:most]


def _nearness(asked: str, name: str) -> float:
    asked_words, words = asked.lower().split("-"), name.lower().split("-")
    like = SequenceMatcher(None, asked.lower(), name.lower()).ratio()
    if len(words) > 1 and _abbreviates("".join(asked_words), words):
        return 2 + like
    if set(asked_words) <= set(words) or set(words) <= set(asked_words):
        return 1 + like
    return like


def _abbreviates(letters: str, words: Sequence[str]) -> bool:
    """Whether letters are beginnings of all words, one after the other: "lr", "lrate" of learning, rate."""
    if not words:
        return not letters
    first, *others = words
    lengths = range(1, min(len(letters), len(first)) + 1)
    return any(letters[:n] == first[:n] and _abbreviates(letters[n:], others) for n in lengths)


def unknown_options(given: Sequence[str], help_text: str) -> list[tuple[str, list[str]]]:
    """Options that a command does not have, each with the nearest of those that it has.

    Args:
        given: what follows the command's name.
        help_text: what the command answers to --help, where each option begins a line.
    """
    rows = re.findall(
        r"^[│ ]*(--?[a-z][\w.-]*(?:(?:, | \| )--?[a-z][\w.-]*)*)", help_text, flags=re.MULTILINE
    )
    known = {name for row in rows for name in re.findall(r"--([a-z][\w.-]*)", row)}
    found = []
    known -= {name for name in known if name.startswith("no-") and name.removeprefix("no-") in known}
    for word in given:
        name = word.partition("=")[0].removeprefix("--").replace("_", "-")
        if word.startswith("--") and name.removeprefix("no-") not in known:
            found.append((word.partition("=")[0], [f"--{near}" for near in nearest(name, sorted(known))]))
    return found
