"""One episode as one HTML file."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpm_edu.files import refuse_foreign_file, write_atomically
from ddpm_edu.viz.episode import player

_MARK = "A policy decides, carries out a part of its plan, and looks again."
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{mark} Each line is a plan of the hand: the
thick one was carried out, the thin ones are what other noises became. Move the first slider through the
episode, and the second through the denoising of a decision.</p>
{player}
</main>
</body>
</html>
"""


def refuse_foreign_page(path: str | Path) -> None:
    """Refuses to write a page where something else is.

    Raises:
        ConfigError: naming it.
    """
    refuse_foreign_file(path, b"<!DOCTYPE html>", _MARK.encode(), "page of an episode")


def write_episode_page(record: Mapping[str, Any], path: str | Path) -> Path:
    """Writes the page.

    Args:
        record: see `ddpm_edu.viz.episode.record_episode`.
        path: the file; an older one there is replaced.

    Raises:
        ConfigError: if something else is there.
    """
    path = Path(path)
    refuse_foreign_page(path)
    page = _PAGE.format(mark=_MARK, title=html.escape(record["title"]), player=player(record).html())
    with write_atomically(path) as file:
        file.write(page.encode())
    return path
