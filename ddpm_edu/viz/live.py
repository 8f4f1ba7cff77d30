"""What moves and denoises in the page itself, as the output of a cell: scripts and numbers, no kernel."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from typing import Any

from ddpm_edu.viz.web import FOLDER, script

SCRIPTS = {
    "table": ("diffusion.js", "space.js", "table.js"),
    "player": ("space.js", "player.js"),
    "studio": ("diffusion.js", "space.js", "studio_sources.js", "studio.js"),
}
"""What each kind needs."""


class Live:
    """An output that runs in the browser; where scripts may not run it is a picture.

    Args:
        kind: "table" (a world in closed form to drag and paint in), "player" (recorded decisions)
            or "studio" (one decision, many noises).
        still: PNG file, shown where scripts do not run.
        alternative: the picture in words.
        options: for the script.
    """

    def __init__(self, kind: str, still: bytes, alternative: str, options: Mapping[str, Any]) -> None:
        self.kind, self.still, self.alternative, self.options = kind, still, alternative, options

    def __repr__(self) -> str:
        return f"Live({self.kind!r})"

    def html(self) -> str:
        """The element with its style and scripts."""
        picture = base64.b64encode(self.still).decode()
        call = {"table": "liveTable", "player": "player", "studio": "studio"}[self.kind]
        # The element is the script's neighbour: an output may be shown twice, and names would clash.
        return "\n".join(
            [
                f"<style>{(FOLDER / 'web.css').read_text()}</style>",
                f'<div class="edu-live"><img src="data:image/png;base64,{picture}" '
                f'alt="{html.escape(self.alternative)}"></div>',
                f"<script>{script(*SCRIPTS[self.kind])}",
                f"ddpmEdu.{call}(document.currentScript.previousElementSibling, {_as_script(self.options)});",
                "</script>",
            ]
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = base64.b64encode(self.still).decode()
        words = {"image/png": {"alt": self.alternative}}
        return {"text/html": self.html(), "image/png": picture, "text/plain": repr(self)}, words


def _as_script(values: Any) -> str:
    """JSON that may stand in a script: nothing in it can end the element."""
    return json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")
