"""The JavaScript that draws and denoises in a page: plain scripts that ask no other host for anything."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def script(*names: str) -> str:
    """The text of scripts, such as "diffusion.js", one after the other."""
    return "\n".join((FOLDER / name).read_text() for name in names)
