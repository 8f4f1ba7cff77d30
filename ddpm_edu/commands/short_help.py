"""The help of a command with many options: an example and those that matter; `--help-all` has the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence

ALL = "--help-all"


def shorten(text: str, program: str, example: str, options: Sequence[str]) -> str:
    """What `--help` prints.

    Args:
        text: the whole help, as tyro draws it.
        program: such as "ddpm-edu train".
        example: a command to begin with.
        options: names of the options that are kept, in order, such as "--task".

    Returns:
        The usage, what the command does in a line, the example, and the options with their descriptions.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    about = re.split(r"^[╭─ ]+options", plain, maxsplit=1, flags=re.MULTILINE)[0].split("\n\n")[1]
    entries = _entries(plain)
    kept = [entries[name] for name in options]
    rest = len(entries) - len(kept)
    lines = [f"usage: {program} [OPTIONS]", "", about, "", f"for example: {example}", ""]
    for heading, description in kept:
        lines += [f"  {heading}", f"      {description}"]
    return "\n".join([*lines, "", f"{rest} more options: {program} {ALL}"])


def _entries(plain: str) -> dict[str, tuple[str, str]]:
    """{name: (the option with its values, its description in one line)}."""
    entries: dict[str, tuple[str, str]] = {}
    name, indent = None, 0
    for line in plain.splitlines():
        content = line.replace("│", " ").rstrip()
        depth = len(content) - len(content.lstrip())
        found = re.match(r"\s+(?:-\w, )?(--[a-z][\w-]*)", content)
        if found:
            name, indent = found.group(1), depth
            entries[name] = (content.strip(), "")
        elif name and depth > indent:
            heading, description = entries[name]
            entries[name] = (heading, f"{description} {content.strip()}".strip())
        else:
            name = None
    entries.pop("--help", None)
    return entries
