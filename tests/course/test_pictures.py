"""Drawings in a notebook become small, photographs stay as they are."""

import base64
import io

import numpy as np
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from ddpm_edu.course.pictures import shrink_pictures
from ddpm_edu.viz.style import headline, new_figure


def in_notebook(png: bytes):
    data = {"image/png": base64.b64encode(png).decode()}
    return new_notebook(cells=[new_code_cell(outputs=[new_output("display_data", data)])])


def picture_of(notebook) -> np.ndarray:
    png = base64.b64decode(notebook.cells[0].outputs[0].data["image/png"])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)


def test_a_drawing_becomes_smaller_and_looks_the_same():
    figure = new_figure(3)
    figure.subplots().plot(np.sin(np.arange(200) / 9), color="#d1495b")
    headline(figure, "A wave")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    notebook = in_notebook(file.getvalue())
    before = picture_of(notebook)
    assert shrink_pictures(notebook) > 0.4 * len(file.getvalue())
    assert np.abs(picture_of(notebook) - before).mean() < 0.5
    assert shrink_pictures(notebook) == 0  # a second time there is nothing to gain


def test_a_photograph_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    notebook = in_notebook(file.getvalue())
    assert shrink_pictures(notebook) == 0
    assert np.array_equal(picture_of(notebook), pixels)
