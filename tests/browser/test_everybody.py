"""The pages for everyone: axe finds nothing, in light and dark; the console is silent; sections are found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser_tools import browser_page

from ddpm_edu.course.site import CHECKER, fetch_files

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

VIOLATIONS = """axe.run(document, { resultTypes: ["violations"], preload: false }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`)))"""


@pytest.mark.parametrize("name", ["index", "live", "gallery", "notebooks/04_forward_process"])
def test_axe_finds_nothing_and_the_console_is_silent(site: Path, name: str) -> None:
    (checker,) = fetch_files(packages=CHECKER)
    said: list[str] = []
    with browser_page(1300, 900) as page:
        page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((site.parent / f"{name}.html").as_uri())
        page.wait_for_selector("article h1")
        page.wait_for_timeout(500)
        page.evaluate(checker.read_text())
        for theme in ("light", "dark"):
            page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
            assert not page.evaluate(VIOLATIONS), theme
    assert not said


def test_no_link_leads_out_of_the_site(site: Path) -> None:
    pages = {path.name: path.read_text() for path in site.parent.glob("*.html")}
    assert not [name for name, page in pages.items() if 'href="#../' in page]
    led = re.findall(r'href="((?:notebooks/)?[\w-]+\.html)', "".join(pages.values()))
    assert "results.html" in led
    assert not [name for name in set(led) if not (site.parent / name).is_file()]


def test_search_leads_to_a_section(site: Path) -> None:
    with browser_page() as page:
        page.goto((site.parent / "search.html").as_uri() + "?q=watch+it+drown")
        page.wait_for_selector("#search-results li a")
        addresses = page.locator("#search-results li a").evaluate_all(
            "(links) => links.map((link) => link.href)"
        )
    assert any("04_forward_process.html#" in address and "drown" in address for address in addresses)


def test_figures_on_a_phone_keep_a_size_at_which_they_are_read(site: Path) -> None:
    with browser_page(390, 800) as page:
        page.goto((site.parent / "notebooks" / "04_forward_process.html").as_uri())
        figure = page.locator(".cell_output img[alt]").first
        figure.scroll_into_view_if_needed()
        assert figure.bounding_box()["width"] >= 560
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
