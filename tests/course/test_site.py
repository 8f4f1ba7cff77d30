"""The pages' own parts; tests/browser looks at the pages themselves."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from ddpm_edu.course import site
from ddpm_edu.errors import NotebookError
from ddpm_edu.paths import REPOSITORY, course_notebooks


def test_the_front_page_lists_the_notebooks_in_order() -> None:
    text = site.front_page_list([("00_start", "# What?\n\nmore"), ("01_next", "# And then?")])
    assert "| 00 | [What?](notebooks/00_start) |" in text
    assert 'href="student/01_next.ipynb" download' in text
    assert text.index("00 · What? <notebooks/00_start>") < text.index("01 · And then? <notebooks/01_next>")


def test_pages_have_alternative_texts_and_no_links_out_of_the_course() -> None:
    pixel = {"image/png": "iVBORw0KGgo="}
    output = new_output("display_data", pixel, metadata={"image/png": {"alt": "The loss falls"}})
    link = "see [notebook 07](07_unet.ipynb) and [`ddpm_edu/policy.py`](../ddpm_edu/policy.py)"
    link += '<details>and <a href="07_unet.ipynb">07</a></details>'
    source = new_notebook(cells=[new_markdown_cell(link), new_code_cell("draw()", outputs=[output])])
    text, code = site._page_of(source).cells
    assert code.metadata.mystnb == {"image": {"alt": "The loss falls"}}
    assert text.source == (
        "see [notebook 07](07_unet.ipynb) and `ddpm_edu/policy.py`"
        '<details>and <a href="07_unet.html">07</a></details>'
    )
    assert "mystnb" not in source.cells[1].metadata


def test_documents_link_to_the_notebooks_pages_and_not_out_of_the_site() -> None:
    text = "[notebook 07](../notebooks/07_unet.ipynb#blocks), [08](../notebooks/08_transformer.ipynb), "
    text += "[96 (90 to\n98)](../results/a.md), [the list](speed.md), [all](https://example.org/../a)"
    assert site._document(text, ["07_unet"]) == (
        "[notebook 07](notebooks/07_unet.ipynb#blocks), 08, 96 (90 to\n"
        "98), [the list](speed.md), [all](https://example.org/../a)"
    )
    names = [path.stem for path in course_notebooks()]
    pages = {path: site._document(path.read_text(), names) for path in (REPOSITORY / "docs").glob("*.md")}
    assert not [path.name for path, page in pages.items() if "](../" in page]
    led = {name for page in pages.values() for name in re.findall(r"\]\(notebooks/(\w+)\.ipynb", page)}
    assert led
    assert led <= set(names)


@pytest.mark.parametrize("name", ["letters.txt", "searchindex.js"])
def test_something_else_is_not_replaced(tmp_path: Path, name: str) -> None:
    """Not even another site that Sphinx has made."""
    (tmp_path / name).write_text("dear")
    with pytest.raises(NotebookError, match="holds something that is not this site"):
        site.build_site(course_notebooks()[:1], tmp_path)
    assert (tmp_path / name).read_text() == "dear"
    with pytest.raises(NotebookError, match="is no folder; name another one with --out"):
        site.build_site(course_notebooks()[:1], tmp_path / name)


@pytest.mark.parametrize("mark", site.MARKS)
def test_a_site_of_ours_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """It comes past the refusal, to what is missing here; until all is there, the old one stays."""
    old = tmp_path / "site" / mark
    old.parent.mkdir(parents=True)
    old.touch()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotebookError, match=r"npm is not installed|the pages are made by myst-nb"):
        site.build_site(course_notebooks()[:1], tmp_path / "site", cache=tmp_path / "cache")
    assert old.is_file()


def test_without_npm_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotebookError, match="npm is not installed; install it"):
        site.fetch_files(tmp_path / "cache")


def test_without_a_network_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'getaddrinfo ENOTFOUND registry' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NotebookError, match=r"npm could not fetch .* \(getaddrinfo ENOTFOUND registry\)"):
        site.fetch_files(tmp_path / "cache")
    assert not list(tmp_path.glob("cache/**/*.js"))


def test_another_package_than_the_known_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(tmp_path / "changed.tgz", "w:gz") as archive:
        script = tarfile.TarInfo("package/require.js")
        archive.addfile(script, io.BytesIO())
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\ncp {tmp_path}/changed.tgz .\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NotebookError, match=r"npm gave another requirejs@2\.3\.8 than .* not sha512-7/cT"):
        site.fetch_files(tmp_path / "cache")
    assert not list(tmp_path.glob("cache/**/*.js"))


def test_files_come_from_the_cache_when_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, members in site.FILES.items():
        for member in members:
            file = tmp_path / package.replace("/", "-").removeprefix("@") / Path(member).name
            file.parent.mkdir(exist_ok=True)
            file.write_text(package)
    monkeypatch.setenv("PATH", "")
    assert all(file.is_file() for file in site.fetch_files(tmp_path))
