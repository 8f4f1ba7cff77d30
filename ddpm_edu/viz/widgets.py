"""Pictures that move under the hand: all frames are drawn once, then scrubbed from memory.

A slider that calls Python for every picture lags (75 to 190 ms from key press to picture) and is dead in an
exported page. Here the browser holds every frame and switches between them itself: 26 ms, and it moves
without a kernel. Where widgets do not run (GitHub, an untrusted notebook), a still of some of the frames is
shown, which stands in the same output.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import IPython.display
import ipywidgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from ddpm_edu.errors import ConfigError
from ddpm_edu.viz.style import GRAY, INK, LINES, PALE


class Frame(bytes):
    """A picture file that knows what it says.

    Attributes:
        words: its headline.
    """

    words: str = ""


_HOUSE_COLORS = [
    ImageColor.getrgb(color) for color in ("white", INK, GRAY, PALE, *(line.color for line in LINES))
]


def render_frames(
    draw: Callable[[Figure, Any], None],
    values: Iterable[Any],
    size: tuple[float, float] = (7.2, 3.4),
    dpi: int = 100,
    colors: int | None = 32,
) -> list[bytes]:
    """Draws one picture for each value.

    Args:
        draw: draws a value on an empty figure; it must fix places and limits of its axes, or they jump.
        values: what to draw, one for each frame.
        size: width and height in inches.
        dpi: pixels per inch. A notebook on GitHub is about 850 pixels wide.
        colors: a frame keeps so many colours, without loss: right for lines and letters. None keeps all and
            loses detail instead: right for camera pictures, in which few colours would lose the red can.

    Returns:
        WebP files, all of one size in pixels: 0.8 of a plot's PNG file, a quarter of a photograph's. Each
        knows its headline: `film_strip` says it to who does not see the pictures.
    """
    frames: list[bytes] = []
    figure = Figure(figsize=size, dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    for value in values:
        figure.clear()
        draw(figure, value)
        canvas.draw()
        picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
        frame = Frame(_webp(picture.convert("RGB"), colors))
        frame.words = _headline(figure)
        frames.append(frame)
    return frames


def _headline(figure: Figure) -> str:
    """What stands above all of a figure, in bold; where nothing does, what stands above its axes."""
    bold = [text.get_text() for text in figure.texts if text.get_weight() == "bold"]
    titles = [axes.get_title(loc=place) for axes in figure.axes for place in ("left", "center", "right")]
    said = [text for text in ([figure.get_suptitle()], bold, titles) if any(text)]
    return ", ".join(text.strip().replace("\n", " ") for text in said[0] if text) if said else ""


class WithStill(ipywidgets.VBox):
    """Widgets with a picture in their output: whoever cannot show the widget shows that.

    Attributes:
        still: the picture, with its alternative text.
    """

    still: IPython.display.Image

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data = super()._repr_mimebundle_(**options) or {}
        picture, words = self.still._repr_mimebundle_()
        return data | picture, words


class Scrubber(WithStill):
    """What `scrubber` returns: the pictures above their slider.

    Attributes:
        stack: the pictures, of which `selected_index` is shown.
        slider: moves through them, by mouse or arrow keys.
        play: moves the slider.
    """

    def __init__(
        self,
        stack: ipywidgets.Stack,
        slider: ipywidgets.IntSlider,
        play: ipywidgets.Play,
        links: list[Any],
        still: IPython.display.Image,
    ) -> None:
        self.stack, self.slider, self.play, self.still = stack, slider, play, still
        self._links = links  # a link that nobody holds is closed
        super().__init__([stack, ipywidgets.HBox([play, slider])])

    def __repr__(self) -> str:
        # The text that pages without widgets show; that of ipywidgets would spell out the pictures' bytes.
        return f"Scrubber({len(self.stack.children)} frames): open the notebook in JupyterLab to move it"


def scrubber(
    frames: Sequence[bytes],
    description: str = "frame",
    start: int = 0,
    interval_ms: int = 80,
    width: int | None = None,
    still: IPython.display.Image | None = None,
) -> Scrubber:
    """A slider and a play button that move through pictures without asking Python.

    Args:
        frames: picture files of one size, such as `render_frames` makes. About 50 of 15 kB add a megabyte
            to the notebook.
        description: what the slider moves through. Its number is not shown: let the frames say theirs.
        start: the frame that is shown first.
        interval_ms: milliseconds for each frame when it plays.
        width: pixels; by default that of the frames.
        still: what is shown where widgets do not run; by default the first frame, one in the middle and the
            last.

    Raises:
        ConfigError: if there is no frame, they differ in size, or `start` is none of them.
    """
    if not frames:
        raise ConfigError("there are no frames to scrub through; give at least one")
    if not 0 <= start < len(frames):
        raise ConfigError(f"start is {start}; it must lie between 0 and {len(frames) - 1}")
    sizes = {Image.open(io.BytesIO(frame)).size for frame in frames}
    if len(sizes) > 1:
        raise ConfigError(f"frames have the sizes {sorted(sizes)}; draw all in one size, or they jump")
    natural_width, _ = sizes.pop()
    shown_width = f"{width or natural_width}px"

    # Without a width of its own each picture is laid out anew when it is shown, and flickers.
    layout = ipywidgets.Layout(width=shown_width, max_width="100%")
    pictures = [picture_widget(frame, layout) for frame in frames]
    stack = ipywidgets.Stack(pictures, selected_index=start)
    last = len(frames) - 1
    play = ipywidgets.Play(min=0, max=last, value=start, interval=interval_ms)
    slider = ipywidgets.IntSlider(
        min=0,
        max=last,
        value=start,
        description=description,
        readout=False,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="100%"),
    )
    links = [
        ipywidgets.jslink((play, "value"), (slider, "value")),
        ipywidgets.jslink((slider, "value"), (stack, "selected_index")),
    ]
    if still is None:
        shown = sorted({0, last // 2, last})
        still = film_strip(frames, shown, columns=1 if natural_width > 300 else None)
    widget = Scrubber(stack, slider, play, links, still)
    widget.layout.width, widget.layout.max_width = shown_width, "100%"
    return widget


def picture_widget(picture: bytes, layout: ipywidgets.Layout) -> ipywidgets.Image:
    """A picture file as a widget that tells the browser which kind it is."""
    kind = Image.open(io.BytesIO(picture)).format
    return ipywidgets.Image(value=picture, format=str(kind).lower(), layout=layout)


def film_strip(
    frames: Sequence[bytes], indices: Sequence[int], columns: int | None = None, about: str = ""
) -> IPython.display.Image:
    """Some frames side by side: a still for where widgets do not run.

    Args:
        frames: picture files of one size.
        indices: which of them, in order.
        columns: frames in a row; all in one row by default. A notebook on GitHub is about 850 pixels
            wide, and wider strips are shrunk: their text becomes small.
        about: what is to be seen, for those who cannot see it; needed where the frames have no headline.

    Returns:
        What a notebook shows, as a PNG file in its `data`, or a JPEG file if the frames are photographs.

    Raises:
        ConfigError: if no frame is chosen, or one that is not there.
    """
    if not indices or not all(0 <= index < len(frames) for index in indices):
        raise ConfigError(f"indices are {list(indices)}; each must lie between 0 and {len(frames) - 1}")
    chosen = [Image.open(io.BytesIO(frames[index])).convert("RGB") for index in indices]
    width, height = chosen[0].size
    columns = columns or len(chosen)
    rows = -(-len(chosen) // columns)
    strip = Image.new("RGB", (columns * width, rows * height), "white")
    for place, picture in enumerate(chosen):
        strip.paste(picture, (place % columns * width, place // columns * height))
    file = io.BytesIO()
    if any(picture.getcolors(256) is None for picture in chosen):
        strip.save(file, format="jpeg", quality=85, optimize=True)
    else:
        _with_fewer_colors(strip, 64).save(file, format="png", optimize=True)
    shown = ", ".join(str(index + 1) for index in indices)
    words = [getattr(frames[index], "words", "") for index in indices]
    said = "; ".join(f"“{text}”" for text in dict.fromkeys(words) if text)
    alt = f"{about}{'. ' if about else ''}Frames {shown} of {len(frames)}{': ' if said else ''}{said}."
    return IPython.display.Image(file.getvalue(), alt=alt)


def _with_fewer_colors(picture: Image.Image, colors: int) -> Image.Image:
    """The picture in at most so many colours, those of the house's lines among them.

    A palette made of the picture alone is shared out by area: over a photograph, thin lines turn gray.
    """
    values = np.asarray(picture).reshape(-1, 3)  # (pixels, 3)
    packed = values @ np.array([1 << 16, 1 << 8, 1])
    _, first, place = np.unique(packed, return_index=True, return_inverse=True)
    there = values[first].astype(int)  # (n, 3) each colour once
    kept = [color for color in _HOUSE_COLORS if (there == color).all(axis=1).any()][: colors // 2]
    made = picture.quantize(colors - len(kept), dither=Image.Dither.NONE).getpalette() or []
    palette = np.array([*kept, *np.reshape(made, (-1, 3))[: colors - len(kept)]])  # (colors, 3)
    nearest = np.square(there[:, None] - palette).sum(axis=2).argmin(axis=1)  # (n,)
    reduced = Image.fromarray(nearest[place].reshape(picture.height, picture.width).astype(np.uint8), "P")
    reduced.putpalette(palette.astype(np.uint8).tobytes())
    return reduced


def _webp(picture: Image.Image, colors: int | None) -> bytes:
    file = io.BytesIO()
    if colors is None:
        picture.save(file, format="webp", quality=80, use_sharp_yuv=True)  # sharp: thin lines keep their hue
    else:
        _with_fewer_colors(picture, colors).convert("RGB").save(file, format="webp", lossless=True)
    return file.getvalue()
