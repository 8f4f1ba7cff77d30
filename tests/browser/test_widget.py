"""Widgets as a person meets them: a notebook in JupyterLab, and a page of the course without a kernel."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from browser_tools import browser_page, move_slider
from notebook_cells import needed_cells

from ddpm_edu.paths import REPOSITORY
from ddpm_edu.viz import studio, widgets

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

NOTEBOOK = REPOSITORY / "notebooks" / "04_forward_process.ipynb"
PRESSES = 20
# An idle machine takes 10 to 30 ms. Under load a frame comes late, but half of them do not.
MEDIAN_MS = 100

RUN_ALL = """async (path) => {
    const app = window.jupyterapp;
    await app.restored;
    const panel = await app.commands.execute('docmanager:open', { path, factory: 'Notebook' });
    await panel.context.ready;
    await panel.sessionContext.ready;
    await app.commands.execute('notebook:run-all-cells');
}"""


@contextlib.contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """JupyterLab on a free port of this machine; gives its address with the token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    settings = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / ".config"),  # nobody's own settings
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".workspaces"),
    }
    # All cells stand in the page, not only those in sight, so that the slider can be found.
    tracker = folder / ".settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')
    options = [f"--ServerApp.root_dir={folder}", f"--port={port}", f"--IdentityProvider.token={token}"]
    options += ["--no-browser", "--allow-root", "--LabApp.expose_app_in_browser=True"]
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=settings, stdout=log, stderr=log
    )
    try:
        begin = time.monotonic()
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}", timeout=10).close()
                break
            assert server.poll() is None, (folder / "lab.log").read_text()[-2000:]
            assert time.monotonic() - begin < 180, "JupyterLab did not start in 180 s"
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab?token={token}"
    finally:
        server.terminate()
        server.wait(timeout=60)
        log.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of the JupyterLab that shows it."""
    folder = tmp_path_factory.mktemp("lab")
    with jupyter_lab(folder) as address:
        yield folder, address


def write_widget_notebook(target: Path) -> None:
    """The notebook's cells that make its slider, without outputs: it shows nothing unless it is run."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    widget = next(i for i, cell in enumerate(notebook.cells) if "widgets.scrubber(" in cell.source)
    notebook.cells = [notebook.cells[i] for i in needed_cells(notebook, [widget])]
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, target)


def test_a_slider_moves_its_picture_in_jupyterlab(lab: tuple[Path, str]) -> None:
    folder, address = lab
    write_widget_notebook(folder / NOTEBOOK.name)
    with browser_page() as page:
        page.goto(address)
        page.wait_for_function("() => window.jupyterapp !== undefined")
        page.evaluate(RUN_ALL, NOTEBOOK.name)
        pictures, times = move_slider(page, PRESSES)
    assert len(set(pictures)) == PRESSES + 1, "each step of the slider shows a picture of its own"
    median = statistics.median(times)
    print(f"key press to picture in JupyterLab: median {median:.0f} ms, slowest {max(times):.0f} ms")
    assert median < MEDIAN_MS


OPEN = """async (path) => {
    await window.jupyterapp.restored;
    const panel = await window.jupyterapp.commands.execute('docmanager:open', { path, factory: 'Notebook' });
    await panel.context.ready;
    return panel.content.widgets.map((cell) => cell.model.trusted);
}"""

STUDIO = """import numpy as np
from ddpm_edu.viz import studio
u = np.linspace(-1, 1, 16)
studio.studio(studio.forward_record({"up": np.stack([u, u, u], 1)}, "Noise"))"""

CORNER = (
    """() => [...document.querySelector('.edu-live canvas').getContext('2d').getImageData(3, 3, 1, 1).data]"""
)


def test_an_untrusted_notebook_shows_stills_and_a_trusted_one_is_dark_in_the_dark(
    lab: tuple[Path, str],
) -> None:
    folder, address = lab
    u = np.linspace(-1, 1, 16)
    record = studio.forward_record({"up": np.stack([u, u, u], 1)}, "Noise")
    frames = widgets.render_frames(lambda figure, i: figure.text(0.5, 0.5, str(i)), range(3), size=(1, 1))
    cells = []
    for made in (studio.studio(record), widgets.scrubber(frames)):
        data, metadata = made._repr_mimebundle_()
        output = nbformat.v4.new_output("display_data", data, metadata=metadata)
        cells.append(nbformat.v4.new_code_cell("pass", outputs=[output]))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "untrusted.ipynb")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    own = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(STUDIO)], metadata=kernel)
    nbformat.write(own, folder / "own.ipynb")  # without a kernel JupyterLab asks for one, and waits
    with browser_page() as page:
        page.goto(address)
        page.wait_for_function("() => window.jupyterapp !== undefined")
        assert page.evaluate(OPEN, "untrusted.ipynb") == [False, False]
        pictures = page.locator(".jp-OutputArea-output img")
        pictures.nth(1).wait_for(state="visible")
        # JupyterLab gives an image/png no alternative text; the studio's still stands in HTML, and has one.
        assert pictures.first.get_attribute("alt") == studio.studio(record).alternative
        assert all(picture.evaluate("(one) => one.naturalWidth > 50") for picture in pictures.all())
        assert page.locator(".edu-live canvas").count() == 0  # no script has run
        said = " ".join(page.locator(".jp-OutputArea-output").all_inner_texts())
        assert not said.strip(), said  # neither a sentence that is not true nor a script's text

        page.evaluate(
            "window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
        )
        page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
        page.evaluate(RUN_ALL, "own.ipynb")
        page.wait_for_selector(".edu-live canvas")
        page.wait_for_timeout(300)
        assert max(page.evaluate(CORNER)[:3]) < 60


@pytest.mark.parametrize("width", [1400, 400])
def test_a_page_moves_without_a_kernel_and_without_a_network(site: Path, width: int) -> None:
    asked, errors, missing = [], [], []
    with browser_page(width, 900) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("requestfailed", lambda request: missing.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((site.parent / "notebooks" / f"{NOTEBOOK.stem}.html").as_uri())
        pictures, times = move_slider(page, 5)
        page.wait_for_selector("mjx-container svg", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
        nameless = page.evaluate(
            "[...document.querySelectorAll('.jupyter-button, .noUi-handle, img')].filter((one) =>"
            " !(one.ariaLabel || one.alt || one.textContent.trim())).map((one) => one.outerHTML)"
        )
        assert not nameless
    assert len(set(pictures)) == 6
    assert statistics.median(times) < MEDIAN_MS
    outside = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert not outside, f"the page asks other hosts: {outside}"
    assert not missing
    assert not errors


def test_search_finds_a_word_of_a_notebook(site: Path) -> None:
    with browser_page() as page:
        page.goto((site.parent / "search.html").as_uri() + "?q=trajectory")
        page.wait_for_selector("#search-results li a")
        first = page.locator("#search-results li a").first
        assert re.search(r"04_forward_process", first.get_attribute("href") or "")


def test_the_front_page_hands_out_the_student_version(site: Path) -> None:
    text = site.read_text()
    assert f'href="student/{NOTEBOOK.name}" download' in text
    student = (site.parent / "student" / NOTEBOOK.name).read_text()
    assert "raise NotImplementedError" in student
    assert "BEGIN SOLUTION" not in student
