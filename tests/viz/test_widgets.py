"""Scrubbers switch pictures in the browser alone: the links, not Python, move them."""

import base64
import io

import ipywidgets
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import ConfigError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.viz.style import LINES
from ddpm_edu.viz.widgets import film_strip, render_frames, scrubber


def draw_bar(figure, height):
    axes = figure.subplots()
    axes.bar(0, height)
    axes.set_ylim(0, 10)


@pytest.fixture(scope="module")
def frames():
    return render_frames(draw_bar, [2, 5, 9], size=(2, 1), dpi=50)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def test_one_frame_for_each_value_all_of_one_size(frames):
    assert [Image.open(io.BytesIO(frame)).size for frame in frames] == [(100, 50)] * 3
    ink = [int((pixels(frame) < 200).any(axis=-1).sum()) for frame in frames]
    assert ink[0] < ink[1] < ink[2]  # a higher bar covers more of the picture


def test_few_colours_make_small_files(frames):
    few, many = (render_frames(draw_bar, [2], size=(2, 1), dpi=50, colors=colors)[0] for colors in (4, 256))
    assert (
        len(np.unique(pixels(few).reshape(-1, 3), axis=0))
        <= 4
        < len(np.unique(pixels(many).reshape(-1, 3), axis=0))
    )


def test_thin_lines_keep_their_colour_over_a_photograph():
    photograph = np.random.default_rng(0).integers(60, 140, (200, 200, 3), dtype=np.uint8)

    def draw(figure, line):
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(photograph)
        axes.plot([20, 180], [100, 100], color=line.color, linewidth=2, snap=True)
        axes.set_axis_off()

    frames = render_frames(draw, LINES, size=(2, 2))
    strip = pixels(film_strip(frames, range(len(LINES))).data)
    for place, line in enumerate(LINES):
        color = np.rint(255 * np.array(matplotlib.colors.to_rgb(line.color)))
        for picture in (pixels(frames[place]), strip[:, 200 * place : 200 * (place + 1)]):
            assert (picture == color).all(axis=-1).sum() > 100, line


def test_the_slider_moves_the_pictures_without_a_kernel(frames):
    widget = scrubber(frames, description="noise", start=1)
    links = {
        (link.source[0].comm, link.source[1], link.target[0].comm, link.target[1]) for link in widget._links
    }
    assert all(isinstance(link, ipywidgets.widgets.widget_link.Link) for link in widget._links)
    assert links == {
        (widget.play.comm, "value", widget.slider.comm, "value"),
        (widget.slider.comm, "value", widget.stack.comm, "selected_index"),
    }
    # No Python function waits for the slider: nothing there could be slow, or missing in an exported page.
    assert not widget.slider._trait_notifiers.get("value")
    assert not widget.stack._trait_notifiers.get("selected_index", {}).get("change", [])


def test_a_still_stands_in_the_same_output_for_whoever_cannot_show_the_widget(frames):
    data, words = scrubber(frames)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    still = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert still.size == (300, 50)
    assert words["image/png"]["alt"] == "Frames 1, 2, 3 of 3."
    data, _ = scrubber(frames, still=film_strip(frames, [2]))._repr_mimebundle_()
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size == (100, 50)


def test_a_still_says_what_stands_above_its_frames():
    def draw(figure: Figure, k: int) -> None:
        if k == 0:
            figure.suptitle("all of it")
        elif k == 1:
            figure.text(0, 0, "aside")
            figure.text(0, 1, "in bold", weight="bold")
        figure.subplots(1, 2)[0].set_title("one\nof two", loc="left")

    frames = render_frames(draw, [0, 1, 2, 2], size=(2, 1))
    said = film_strip(frames, [0, 1, 2, 3]).alt
    assert said == "Frames 1, 2, 3, 4 of 4: “all of it”; “in bold”; “one of two”."
    said = film_strip(frames, [0], about="The hand lifts the can").alt
    assert said == "The hand lifts the can. Frames 1 of 4: “all of it”."


def test_every_index_of_the_slider_has_its_picture(frames):
    widget = scrubber(frames, start=1)
    assert [bytes(picture.value) for picture in widget.stack.children] == frames
    assert (widget.slider.min, widget.slider.max) == (widget.play.min, widget.play.max) == (0, 2)
    assert widget.slider.value == widget.play.value == widget.stack.selected_index == 1
    assert {picture.layout.width for picture in widget.stack.children} == {"100px"}


def test_its_text_is_the_same_on_every_machine(frames):
    """nbval compares it, and GitHub shows it."""
    text = scrubber(frames)._repr_mimebundle_()[0]["text/plain"]
    assert text == "Scrubber(3 frames): open the notebook in JupyterLab to move it"


def test_strip_shows_the_chosen_frames_in_order(frames):
    strip = pixels(film_strip(frames, [2, 0]).data)
    assert strip.shape == (50, 200, 3)
    np.testing.assert_array_equal(strip[:, :100], pixels(frames[2]))
    np.testing.assert_array_equal(strip[:, 100:], pixels(frames[0]))
    assert pixels(film_strip(frames, [0, 1, 2], columns=2).data).shape == (100, 200, 3)


def red_pixels(picture):
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return int((red - np.maximum(green, blue) > 60).sum())


def test_the_can_of_a_camera_picture_stays_red():
    camera = Demonstrations.read(shipped_demonstrations("can", "image"), "can", "image", max_demonstrations=1)
    photograph = np.moveaxis(camera.obs["agentview_image"][0], 0, -1)  # (H, W, 3)

    def draw(figure, line):
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(photograph)
        if line:
            axes.plot([5, 78], [4, 4], color=line.color, linewidth=2)
        axes.set_axis_off()

    frames = render_frames(draw, [None, LINES[1]], size=(2.52, 2.52), colors=None)
    true = red_pixels(np.kron(photograph, np.ones((3, 3, 1))))
    assert true > 50
    assert red_pixels(pixels(frames[0])) > 0.8 * true
    assert len(frames[0]) < len(render_frames(draw, [None], size=(2.52, 2.52), colors=64)[0])
    color = 255 * np.array(matplotlib.colors.to_rgb(LINES[1].color))
    assert (np.abs(pixels(frames[1]) - color).max(axis=-1) < 25).sum() > 150  # the thin line is not gray
    strip = film_strip(frames, [0, 1])
    assert strip.format == "jpeg"
    assert red_pixels(pixels(strip.data)[:, :252]) > 0.8 * true


def test_browsers_are_told_what_the_frames_are(frames):
    png = io.BytesIO()
    Image.open(io.BytesIO(frames[0])).save(png, format="png")
    widget = scrubber([*frames, png.getvalue()])
    assert [picture.format for picture in widget.stack.children] == ["webp"] * 3 + ["png"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda frames: scrubber([]), "no frames"),
        (lambda frames: scrubber(frames, start=3), "between 0 and 2"),
        (lambda frames: scrubber([*frames, *render_frames(draw_bar, [1], size=(3, 1), dpi=50)]), "sizes"),
        (lambda frames: film_strip(frames, [3]), "between 0 and 2"),
        (lambda frames: film_strip(frames, []), "between 0 and 2"),
    ],
)
def test_what_cannot_be_shown_is_refused(frames, call, message):
    with pytest.raises(ConfigError, match=message):
        call(frames)
