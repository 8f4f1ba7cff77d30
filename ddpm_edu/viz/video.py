"""Videos of episodes: tiles side by side whose captions say how each one ends."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.files import partial_name, sync
from ddpm_edu.simulation.replay import Recording

if TYPE_CHECKING:
    import IPython.display
    from matplotlib.figure import Figure

_CAPTION = 0.11  # height of the caption, as part of the picture's
_DARK, _LIGHT = (26, 26, 26), (255, 255, 255)
_GUTTER = 4  # pixels between tiles; even
_HOLD_SECONDS = 1.5  # how long the last picture stays


def write_video(path: str | Path, recordings: Sequence[Recording], columns: int = 2) -> Path:
    """Write episodes as one H.264 video that plays in the robot's own time.

    Args:
        path: the .mp4 file; it appears when it is complete.
        recordings: episodes, all with pictures of one size and rate.
        columns: tiles in a row.

    Raises:
        ConfigError: if there is no recording, or they do not fit together.
        SimulatorError: if ffmpeg cannot run.
    """
    import imageio_ffmpeg

    path = Path(path)
    first, *_ = frames = list(tiled_frames(recordings, columns))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_name(path)  # two processes may write the same video
    try:
        # 4:2:0 colour is what browsers play; faststart lets them begin before they have the whole file.
        writer = imageio_ffmpeg.write_frames(
            str(partial),
            first.shape[1::-1],
            fps=recordings[0].fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=2,
            output_params=["-crf", "23", "-movflags", "+faststart", "-f", "mp4"],
        )
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise SimulatorError(f"{path}: the video cannot be written ({reason})") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def moving_picture(video: str | Path, width: int = 320, every: int = 10) -> bytes:
    """A video as a small picture that moves by itself, where no player runs: WebP, some of its frames.

    Args:
        video: the .mp4 file.
        width: pixels.
        every: takes one frame of so many.

    Raises:
        SimulatorError: if ffmpeg cannot read it.
    """
    import imageio_ffmpeg

    try:
        frames = imageio_ffmpeg.read_frames(str(video))
        size = next(frames)["size"]
        small = (width, round(size[1] * width / size[0]))
        pictures = [
            Image.frombytes("RGB", size, frame).resize(small, Image.Resampling.LANCZOS)
            for index, frame in enumerate(frames)
            if index % every == 0
        ]
        file = io.BytesIO()
        pictures[0].save(
            file, "webp", save_all=True, append_images=pictures[1:], duration=250, loop=0, quality=30
        )
    except (OSError, RuntimeError, IndexError, StopIteration) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise SimulatorError(f"{video}: the video cannot be read ({reason})") from error
    return file.getvalue()


def tiled_frames(recordings: Sequence[Recording], columns: int = 2) -> Iterator[np.ndarray]:
    """The pictures of a video, uint8 (height, width, 3); an episode that has ended keeps its last one.

    Raises:
        ConfigError: if there is no recording, or they differ in the size or rate of their pictures.
    """
    if not recordings:
        raise ConfigError("there is no recording; give at least one")
    shapes = {(recording.frames.shape[1:], recording.fps) for recording in recordings}
    if len(shapes) > 1:
        raise ConfigError(f"recordings have pictures of different size or rate: {sorted(shapes)}")
    columns = min(columns, len(recordings))
    rows = -(-len(recordings) // columns)
    longest = max(len(recording.frames) for recording in recordings)
    for index in range(longest + round(_HOLD_SECONDS * recordings[0].fps)):
        tiles = [_tile(recording, index) for recording in recordings]
        tiles += [np.full_like(tiles[0], 255)] * (rows * columns - len(tiles))
        yield np.vstack(
            [np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)]
        )  # (H, W, 3)


def strip(recording: Recording, count: int = 6) -> Image.Image:
    """A few moments of an episode in a row, the first and the last among them."""
    indices = np.unique(np.linspace(0, len(recording.frames) - 1, count).round().astype(int))
    return Image.fromarray(np.hstack([_tile(recording, int(index)) for index in indices]))


def episode_strip(recording: Recording, count: int = 6) -> IPython.display.Image:
    """`strip` for a notebook: a JPEG file only, with an alternative text that says how the episode ended."""
    import IPython.display

    file = io.BytesIO()
    strip(recording, count).save(file, format="jpeg", quality=85, optimize=True)
    ending = "success" if recording.success else "failure"
    seconds = recording.length / (recording.fps * recording.every)
    alt = f"{count} moments of an episode from seed {recording.seed}: {ending} after {seconds:.1f} s"
    return IPython.display.Image(file.getvalue(), alt=f"{alt}.")


def draw_side_by_side(figure: Figure, recordings: Mapping[str, Recording], index: int) -> None:
    """One moment of several episodes; one that has ended keeps its last picture.

    Args:
        figure: empty, about as wide for each episode as it is high.
        recordings: by what stands above each.
        index: of the picture; at most that of the longest episode's last one.
    """
    width = 1 / len(recordings)
    for place, (name, recording) in enumerate(recordings.items()):
        axes = figure.add_axes((place * width, 0.0, width, 0.9))
        axes.imshow(_tile(recording, index))
        axes.set_axis_off()
        axes.set_title(name, fontsize=9.5, pad=3)


def _tile(recording: Recording, index: int) -> np.ndarray:
    """A picture above its caption, both of even height: 4:2:0 colour has one sample for two rows."""
    last = len(recording.frames) - 1
    frame = recording.frames[min(index, last)]
    height, width, _ = frame.shape
    ended = index >= last
    step = min(index * recording.every, recording.length)
    seconds = step / (recording.fps * recording.every)
    # Told apart by word and by brightness: dark while it goes on and after a failure, light after a success.
    light = ended and recording.success
    ink, ground = (_DARK, _LIGHT) if light else (_LIGHT, _DARK)
    outcome = ("SUCCESS" if recording.success else "FAILED") if ended else ""
    caption = Image.new("RGB", (width, 2 * round(height * _CAPTION / 2)), ground)
    draw = ImageDraw.Draw(caption)
    middle, margin = caption.height // 2, round(width * 0.03)
    draw.text((margin, middle), f"{seconds:.1f} s", ink, _font(caption.height), anchor="lm")
    draw.text((round(width * 0.22), middle), outcome, ink, _font(caption.height, bold=True), anchor="lm")
    draw.text((width - margin, middle), f"seed {recording.seed}", ink, _font(caption.height), anchor="rm")
    tile = np.vstack([frame[: height // 2 * 2], np.asarray(caption)])[:, : width // 2 * 2]
    return np.pad(tile, ((0, _GUTTER), (0, _GUTTER), (0, 0)), constant_values=255)


@cache
def _font(height: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), height * 0.46)
