"""The course as pages: made from the committed outputs, without running a cell.

Sphinx with myst-nb turns notebooks into pages. Formulas and widgets need three scripts, which come from npm
packages (6 MB, not committed) and are copied into the site: the pages ask no other host for anything.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ddpm_edu.course.build import SOLVED_NOTE, build_course, read_course
from ddpm_edu.errors import NotebookError
from ddpm_edu.paths import REPOSITORY

# npm packages at exact versions, and the one file that the pages need of each.
SCRIPTS = {
    "requirejs@2.3.8": "package/require.js",  # loads the next one
    "@jupyter-widgets/html-manager@1.0.15": "package/dist/embed-amd.js",  # moves widgets without a kernel
    "mathjax@3.2.2": "package/es5/tex-svg.js",
}
CACHE = REPOSITORY / "build" / "site-scripts"
PAGE_NOTE = "The solution is folded below. In the student's notebook it is yours to write."
PLACE = "<!-- notebooks -->"  # in docs/index.md


def build_site(paths: Sequence[Path], out: Path, docs: Path | None = None, cache: Path = CACHE) -> Path:
    """Makes the pages.

    Args:
        paths: the solved notebooks, in reading order.
        out: folder for the pages; an older site there is replaced, anything else is refused.
        docs: Sphinx's configuration and front page; by default docs/ of the repository.
        cache: where the scripts are kept between builds.

    Returns:
        The front page.

    Raises:
        NotebookError: if a notebook is not put together well, Sphinx or the scripts are missing, `out` holds
            something else, or Sphinx refuses a page.
    """
    docs = docs or REPOSITORY / "docs"
    sources = read_course(paths)
    if out.exists() and any(out.iterdir()) and not (out / "searchindex.js").is_file():
        raise NotebookError(f"{out} holds something that is not this site; name another folder with --out")
    if importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("sphinx_book_theme") is None:
        raise NotebookError(
            "the pages are made by myst-nb and sphinx-book-theme; install them with: "
            ".venv/bin/python -m pip install -c constraints.txt -e '.[site]'"
        )
    scripts = fetch_scripts(cache)

    with tempfile.TemporaryDirectory(prefix="ddpm-edu-site-") as folder:
        work = Path(folder)
        shutil.copytree(docs, work / "docs")
        (work / "docs" / "notebooks").mkdir()
        for script in scripts:
            shutil.copy(script, work / "docs" / "_static" / script.name)
        for source in sources:
            nbformat.write(_page_of(source.notebook), work / "docs" / "notebooks" / source.path.name)
        index = work / "docs" / "index.md"
        titles = [(source.path.stem, source.notebook.cells[0].source) for source in sources]
        index.write_text(index.read_text().replace(PLACE, front_page_list(titles)))
        _run_sphinx(work / "docs", work / "html", work / "doctrees")
        build_course(paths, work / "html" / "student", work / "instructor")
        if out.exists():
            shutil.rmtree(out)
        shutil.move(work / "html", out)
    return out / "index.html"


def _page_of(notebook: NotebookNode) -> NotebookNode:
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = SOLVED_NOTE.sub(PAGE_NOTE, cell.source)
    return notebook


def front_page_list(titles: Sequence[tuple[str, str]]) -> str:
    """The table of notebooks and the navigation, as MyST Markdown.

    Args:
        titles: pairs of a notebook's name and the text of its first cell, which begins with the title.
    """
    rows, entries = ["| | question | work through it |", "|---|---|---|"], []
    for name, text in titles:
        number, title = name[:2], text.splitlines()[0].removeprefix("# ").strip()
        download = f'<a href="student/{name}.ipynb" download>student\'s notebook</a>'
        rows.append(f"| {number} | [{title}](notebooks/{name}) | {download} |")
        entries.append(f"{number} · {title} <notebooks/{name}>")
    navigation = ["```{toctree}", ":hidden:", ":maxdepth: 1", "", *entries, "```"]
    return "\n".join([*rows, "", *navigation])


def fetch_scripts(cache: Path) -> list[Path]:
    """The scripts, from the cache or through npm, which checks each package against its registered digest.

    Raises:
        NotebookError: if a script is not in the cache and npm is not there or gets nothing.
    """
    found = []
    for package, member in SCRIPTS.items():
        # The version is part of the folder's name: a new one is fetched anew.
        script = cache / package.replace("/", "-").removeprefix("@") / Path(member).name
        if not script.is_file():
            _fetch(package, member, script)
        found.append(script)
    return found


def _fetch(package: str, member: str, script: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotebookError(
            f"the pages need {script.name} of the npm package {package}, and npm is not installed; "
            "install it (on Debian: apt-get install npm), or build where it is"
        )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=False
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or not archives:
            reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            raise NotebookError(f"npm could not fetch {package} ({reason}); try again with a network")
        script.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archives[0]) as archive:
            content = archive.extractfile(member)
            assert content is not None, f"{package} has no {member}"
            partial = script.with_name(script.name + ".partial")
            partial.write_bytes(content.read())
            partial.replace(script)


def _run_sphinx(docs: Path, out: Path, doctrees: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(doctrees)]
    done = subprocess.run([*command, str(docs), str(out)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
        lines = said or done.stderr.strip().splitlines() or ["no reason given"]
        text = "; ".join(line.replace(f"{docs}/", "") for line in lines[:3])
        more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
        raise NotebookError(f"Sphinx refuses a page: {text}{more}; mend the notebook")
