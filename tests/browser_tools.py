"""A headless Chromium for tests, or why there is none; how long a key press takes to change a picture."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--allow-file-access-from-files"]
PATIENCE_MS = 240_000  # a machine that others use too can be ten times slower

# On the page's own clock: from the key to the first frame in which another, loaded picture is visible.
_WATCH = """(handle) => {
    const box = handle.closest('.widget-vbox');
    window.shownPicture = () => [...box.querySelectorAll('img')].find(
        (img) => img.offsetParent !== null && img.complete && img.naturalWidth > 0)?.src;
    window.watchPicture = () => {
        const before = window.shownPicture();
        window.pictureChanged = new Promise((done) => handle.addEventListener('keydown', () => {
            const began = performance.now();
            const look = () => {
                const now = window.shownPicture(), waited = performance.now() - began;
                if (now && now !== before) done(waited);
                else if (waited > 20000) done(null);
                else requestAnimationFrame(look);
            };
            look();
        }, { capture: true, once: true }));
    };
}"""


@contextlib.contextmanager
def browser_page(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """An empty page in a browser; the test is skipped where playwright or Chromium is missing."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing; install it with: pip install -e '.[browser]'"
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the PATH; on Debian: apt-get install chromium")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=PATIENCE_MS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            browser.close()


@contextlib.contextmanager
def watched_page(path: Path, width: int = 1300, height: int = 1000) -> Iterator[Page]:
    """A page of the course, and what goes wrong with it, or asks another host, in `page.complaints`."""
    with browser_page(width, height) as page:
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("requestfailed", lambda request: page.complaints.append(request.url))
        page.on(
            "request",
            lambda request: page.complaints.append(request.url) if request.url.startswith("http") else None,
        )
        page.goto(path.as_uri())
        yield page


def move_slider(page: Page, presses: int) -> tuple[list[str], list[float]]:
    """Moves the page's first slider to the right by the keyboard.

    Returns:
        The pictures shown, before the first press and after each (their addresses differ), and the
        milliseconds from each press to its picture.
    """
    handle = page.locator(".widget-vbox .noUi-handle").first
    handle.wait_for(state="visible")
    handle.scroll_into_view_if_needed()
    handle.evaluate(_WATCH)
    page.wait_for_function("() => window.shownPicture()")
    pictures, times = [page.evaluate("window.shownPicture()")], []
    for _ in range(presses):
        page.evaluate("window.watchPicture()")
        handle.press("ArrowRight")
        waited = page.evaluate("window.pictureChanged")
        assert waited is not None, "the picture did not change within 20 s of the key press"
        times.append(waited)
        pictures.append(page.evaluate("window.shownPicture()"))
    return pictures, times
