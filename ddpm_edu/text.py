"""Text that comes from files, made safe for where it is shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

_MARKUP = {ord(letter): f"&#{ord(letter)};" for letter in "&<>|`[]*\\"}


def for_terminal(text: str) -> str:
    r"""Text as a terminal may show it: whatever is not printable becomes its escape, such as `\x1b`.

    Escape sequences in a name could otherwise move the cursor, hide lines, or write to the clipboard; lone
    surrogates could not be written at all. Line breaks stay.
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def for_markdown(text: str) -> str:
    """Text as one line of Markdown, also within a table: its markup, HTML and links become entities."""
    return " ".join(for_terminal(text).splitlines()).translate(_MARKUP)


def shell_line(words: Iterable[object]) -> str:
    """A command as a shell reads it: each word quoted where it must be, so `shlex.split` gives them back."""
    return shlex.join(map(str, words))
