"""Text that comes from files, made safe for where it is shown."""

from __future__ import annotations


def for_terminal(text: str) -> str:
    r"""Text as a terminal may show it: whatever is not printable becomes its escape, such as `\x1b`.

    Escape sequences in a name could otherwise move the cursor, hide lines, or write to the clipboard; lone
    surrogates could not be written at all. Line breaks stay.
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
