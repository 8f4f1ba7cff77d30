"""The course as pages: made from the committed outputs, without running a cell.

Sphinx with myst-nb turns notebooks into pages. Formulas, widgets and the robot need four scripts, which come
from npm packages (17 MB, not committed) and are copied into the site: the pages ask no other host.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ddpm_edu.course.build import SOLVED_NOTE, build_course, read_course
from ddpm_edu.course.gallery import studio_of, write_gallery
from ddpm_edu.course.live import write_live
from ddpm_edu.errors import NotebookError
from ddpm_edu.files import sync, write_atomically, write_folder
from ddpm_edu.paths import REPOSITORY

# npm packages at exact versions, each with its digest (`npm view NAME@VERSION dist.integrity`).
PACKAGES = {
    "requirejs@2.3.8": "sha512-7/cTSLOdYkNBNJcDMWf+luFvMriVm7eYxp4BcFCsAX0wF421Vyce5SXP17c+Jd5otXKGNehIonFlyQXSowL6Mw==",  # noqa: E501
    "@jupyter-widgets/html-manager@1.0.15": "sha512-5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA==",  # noqa: E501
    "mujoco-js@0.0.7": "sha512-MXCudYo+QCncFEQVxDy9GjELOGRNKsSucKpHgz9hNeRSWXP01xhtZr5GNvY30Rvs/mtfV/jPb3uIsiYXPJ2V2g==",  # noqa: E501
    "axe-core@4.10.3": "sha512-Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==",  # noqa: E501
    "mathjax@3.2.2": "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",  # noqa: E501
}
# The files that the pages need of each.
FILES = {
    "requirejs@2.3.8": ("package/require.js",),  # loads the next one
    "@jupyter-widgets/html-manager@1.0.15": (
        "package/dist/embed-amd.js",  # moves widgets without a kernel
        "package/dist/1551f4f60c37af51121f.woff2",  # the signs on the play button
        "package/dist/7a3337626410ca2f4071.woff2",
        "package/dist/d878b0a6a1144760244f.woff2",
    ),
    "mujoco-js@0.0.7": ("package/dist/mujoco_wasm.js",),  # MuJoCo 3.3.8: steps as 3.3.7 does, to 1e-6 rad
    "mathjax@3.2.2": ("package/es5/tex-svg.js",),
}
MARKS = (".ddpm-edu-site", "_static/live/NOTICES.txt")
"""A folder with one of these files is a site of ours; older ones have the second alone."""
CHECKER = {"axe-core@4.10.3": ("package/axe.min.js",)}
"""What the tests ask whether everybody can use the pages; no page has it."""
FONTS_FOLDER = "@jupyter-widgets"  # pages look for the widgets' fonts in this folder beside themselves
CACHE = REPOSITORY / "build" / "site-scripts"
PAGE_NOTE = "The solution is folded below. In the student's notebook it is yours to write."
PLACE, STUDIO_PLACE = "<!-- notebooks -->", "<!-- studio -->"  # in docs/index.md
IN_HTML = re.compile(r'(href="\d\d_\w+)\.ipynb')  # Sphinx leads Markdown's links to pages, but not these
TO_PACKAGE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")  # a link out of its folder: pages have only its text
TO_NOTEBOOK = re.compile(r"\]\(\.\./notebooks/(\w+)\.ipynb")  # from docs/


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
    out = out.resolve()  # a link's target is replaced, not the link
    sources = read_course(paths)
    if out.exists() and not out.is_dir():
        raise NotebookError(f"{out} is no folder; name another one with --out")
    if out.exists() and any(out.iterdir()) and not any((out / mark).is_file() for mark in MARKS):
        raise NotebookError(f"{out} holds something that is not this site; name another folder with --out")
    if importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("sphinx_book_theme") is None:
        raise NotebookError(
            "the pages are made by myst-nb and sphinx-book-theme; install them with: scripts/setup.sh site"
        )
    fetched = fetch_files(cache)
    fonts = [file for file in fetched if file.suffix == ".woff2"]
    mujoco = next(file for file in fetched if file.name == "mujoco_wasm.js")

    with tempfile.TemporaryDirectory(prefix="ddpm-edu-site-") as folder:
        work = Path(folder)
        shutil.copytree(docs, work / "docs")
        (work / "docs" / "notebooks").mkdir()
        for script in set(fetched) - {*fonts, mujoco}:
            shutil.copy(script, work / "docs" / "_static" / script.name)
        write_live(work / "docs" / "_static" / "live", mujoco)
        for source in sources:
            nbformat.write(_page_of(source.notebook), work / "docs" / "notebooks" / source.path.name)
        for page in (work / "docs").glob("*.md"):
            names = [source.path.stem for source in sources]
            page.write_text(_document(page.read_text(encoding="utf-8"), names), encoding="utf-8")
        index = work / "docs" / "index.md"
        titles = [(source.path.stem, source.notebook.cells[0].source) for source in sources]
        front = index.read_text().replace(PLACE, front_page_list(titles))
        index.write_text(front.replace(STUDIO_PLACE, studio_of(sources)))
        write_gallery(REPOSITORY / "results", work / "docs")
        _run_sphinx(work / "docs", work / "html", work / "doctrees")
        (work / "html" / "notebooks" / FONTS_FOLDER).mkdir()
        for font in fonts:
            shutil.copy(font, work / "html" / "notebooks" / FONTS_FOLDER / font.name)
        build_course(paths, work / "html" / "student", work / "instructor")
        (work / "html" / MARKS[0]).touch()
        with write_folder(out) as new:
            shutil.copytree(work / "html", new, dirs_exist_ok=True)
            for file in new.rglob("*"):
                sync(file)
    return out / "index.html"


def _page_of(notebook: NotebookNode) -> NotebookNode:
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = TO_PACKAGE.sub(r"\1", SOLVED_NOTE.sub(PAGE_NOTE, cell.source))
            cell.source = IN_HTML.sub(r"\1.html", text)
        elif text := _alternative_text(cell):
            cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), "image": {"alt": text}}
    return notebook


def _document(text: str, notebooks: Sequence[str]) -> str:
    """A page of docs/ whose links lead to the pages of these notebooks, and nowhere out of the site."""
    for name in TO_NOTEBOOK.findall(text):
        if name in notebooks:
            text = text.replace(f"](../notebooks/{name}.ipynb", f"](notebooks/{name}.ipynb")
    return TO_PACKAGE.sub(r"\1", text)


def _alternative_text(cell: NotebookNode) -> str:
    """Of the picture that a cell shows: it stands with the output, and myst-nb reads it from the cell."""
    for output in cell.outputs:
        for kind, metadata in output.get("metadata", {}).items():
            if kind.startswith("image/") and metadata.get("alt"):
                return metadata["alt"]
    return ""


def front_page_list(titles: Sequence[tuple[str, str]]) -> str:
    """The table of notebooks and the navigation, as MyST Markdown.

    Args:
        titles: pairs of a notebook's name and the text of its first cell, which begins with the title.
    """
    rows, entries = ["| number | question | work through it |", "|---|---|---|"], []
    for name, text in titles:
        number, title = name[:2], text.splitlines()[0].removeprefix("# ").strip()
        download = f'<a href="student/{name}.ipynb" download>student\'s notebook</a>'
        rows.append(f"| {number} | [{title}](notebooks/{name}) | {download} |")
        entries.append(f"{number} · {title} <notebooks/{name}>")
    navigation = ["```{toctree}", ":hidden:", ":maxdepth: 1", "", *entries, "```"]
    return "\n".join([*rows, "", *navigation])


def fetch_files(cache: Path = CACHE, packages: Mapping[str, Sequence[str]] = FILES) -> list[Path]:
    """The files of npm packages, from the cache or through npm; a package must have its digest.

    Args:
        cache: where they are kept.
        packages: which files of which packages; each package is one of `PACKAGES`.

    Raises:
        NotebookError: if a file is not in the cache and npm is not there, or gets nothing or something else.
    """
    found = []
    for package, members in packages.items():
        # The version is part of the folder's name: a new one is fetched anew.
        folder = cache / package.replace("/", "-").removeprefix("@")
        files = {member: folder / Path(member).name for member in members}
        if not all(file.is_file() for file in files.values()):
            _fetch(package, files)
        found += files.values()
    return found


def _fetch(package: str, files: Mapping[str, Path]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotebookError(
            f"the pages need files of the npm package {package}, and npm is not installed; "
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
        digest = hashlib.sha512(archives[0].read_bytes()).digest()
        found = f"sha512-{base64.b64encode(digest).decode()}"
        if found != PACKAGES[package]:
            raise NotebookError(
                f"npm gave another {package} than the pages were made with: its digest is {found}, not "
                f"{PACKAGES[package]}; ask npm's own registry (npm config get registry)"
            )
        with tarfile.open(archives[0]) as archive:
            for member, target in files.items():
                content = archive.extractfile(member)
                assert content is not None, f"{package} has no {member}"
                with write_atomically(target) as file:
                    shutil.copyfileobj(content, file)


def _run_sphinx(docs: Path, out: Path, doctrees: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(doctrees)]
    done = subprocess.run([*command, str(docs), str(out)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
        lines = said or done.stderr.strip().splitlines() or ["no reason given"]
        text = "; ".join(line.replace(f"{docs}/", "") for line in lines[:3])
        more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
        raise NotebookError(f"Sphinx refuses a page: {text}{more}; mend the notebook")
