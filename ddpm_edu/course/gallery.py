"""Pages of the site that show what moves: videos of all results, and the studio on the front."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ddpm_edu.course.build import Source
from ddpm_edu.errors import NotebookError

STUDIO_MARK = "ddpmEdu.studio("


def studio_of(sources: Sequence[Source]) -> str:
    """The first studio with a policy's decision that the notebooks show; empty if none was run."""
    for source in sources:
        for cell in source.notebook.cells:
            for output in cell.get("outputs", ()):
                shown = output.get("data", {}).get("text/html", "")
                if STUDIO_MARK in shown and '"kind":"recorded"' in shown:
                    return f"{_STUDIO}\n\n```{{raw}} html\n{shown}\n```"
    return ""


def write_gallery(results: Path, docs: Path) -> int:
    """Writes gallery.md: the videos beside the result cards, each with what its card says.

    Args:
        results: folder of the cards.
        docs: Sphinx's folder; the videos are copied into it.

    Returns:
        How many videos there are.

    Raises:
        NotebookError: if a video has no card that says how often the policy succeeded.
    """
    folder = docs / "_static" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for video in sorted(results.glob("*.mp4")):
        card = video.with_suffix(".md")
        said = card.read_text(encoding="utf-8") if card.is_file() else ""
        found = re.match(r"# (.+)\n[\s\S]*?\n\| last checkpoint \| (.+) \|\n", said)
        if found is None:
            raise NotebookError(
                f"{card} is no card of {video.name}; write it with: ddpm-edu results card RUN"
            )
        title, success = (
            words.replace("**", "") for words in found.groups()
        )  # its letters are escaped there
        shutil.copy(video, folder / video.name)
        poster, moving = 'preload="metadata"', video.with_suffix(".webp")
        if moving.is_file():  # its first frame stands there until the video is asked for
            with Image.open(moving) as first:
                first.convert("RGB").save(folder / f"{video.stem}.jpg", quality=70)
            poster = f'preload="none" poster="_static/results/{html.escape(video.stem)}.jpg"'
        figures.append(
            f'<figure><video src="_static/results/{html.escape(video.name)}" controls muted loop playsinline '
            f'{poster} aria-label="Episodes: {title}"></video>'
            f"<figcaption><b>{title}</b><br>{success}</figcaption></figure>"
        )
    (docs / "gallery.md").write_text(_TEXT + "\n".join(figures) + "\n</div>\n```\n")
    return len(figures)


_TEXT = """# Gallery of results

Every trained policy of the repository, on starts that it was not trained on: some successes and, where there
are any, some failures; the captions say how each episode ends. A video plays while it is in sight, unless
your system asks for less motion. How they were made and measured: [results](results.md).

```{raw} html
<div class="edu-gallery">
"""

_STUDIO = """**And a robot:** one decision of a trained policy, from 32 noises. Some of its plans pass left of
the can, some right of it. Turn the scene, move the slider from noise to motion, and on: the robot carries out
the thick plan."""
