"""Committed notebooks are complete: executed, in order, without errors, and small. nbval then runs them."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ddpm_edu.paths import course_notebooks, stray_notebooks

NOTEBOOKS = course_notebooks()
MAX_BYTES = 2_600_000
MAX_BYTES_TOGETHER = 15_000_000
MAX_LINES = 35
MAX_COLUMNS = 88


def source_of_first(notebook: nbformat.NotebookNode, kind: str) -> str:
    return next(cell.source for cell in notebook.cells if cell.cell_type == kind)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def test_there_is_nothing_else_among_the_notebooks() -> None:
    assert not stray_notebooks(), "copies and scratch belong elsewhere: each is run and compared here"


def test_every_code_cell_was_executed_in_one_run_from_top_to_bottom(notebook: nbformat.NotebookNode) -> None:
    """An unexecuted cell has no output to compare, so that nbval would pass it whatever it does."""
    counts = [
        cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()
    ]
    assert counts == list(range(1, len(counts) + 1))


def test_only_cells_that_mean_to_fail_show_an_error(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code" and "raises-exception" not in cell.metadata.get("tags", []):
            assert not [output for output in cell.outputs if output.output_type == "error"], cell.source


def test_it_has_one_title(notebook: nbformat.NotebookNode) -> None:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    lines = re.sub(r"^```[\s\S]*?^```", "", text, flags=re.MULTILINE).splitlines()  # "# …" is a comment there
    assert lines[0].startswith("# ")
    assert len([line for line in lines if line.startswith("# ")]) == 1


def test_it_opens_with_a_question(notebook: nbformat.NotebookNode) -> None:
    assert "?" in source_of_first(notebook, "markdown")


def test_every_mention_of_another_notebook_is_a_link_and_links_lead_somewhere(
    notebook: nbformat.NotebookNode,
) -> None:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    targets = re.findall(r"""(?:\]\(|href=")((?!https?:)[\w./-]+)""", text)
    assert not [target for target in targets if not (NOTEBOOKS[0].parent / target).exists()]
    unlinked = re.sub(r"\[[^\]]*\]\([^)]*\)|<a href.*?</a>", "", text)
    assert not re.findall(r".*[Nn]otebooks? \d\d.*", unlinked)


def test_it_is_valid(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)


def test_every_picture_says_what_it_shows(notebook: nbformat.NotebookNode) -> None:
    """For those who cannot see it: the figure's headline, and not only which frames were taken."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        for kind in output.get("data", {}):
            if kind.startswith("image/"):
                words = output.metadata.get(kind, {}).get("alt", "")
                assert re.sub(r"Frames [\d, ]+ of \d+\.", "", words), output.metadata


def test_its_cells_can_be_read_without_scrolling(notebook: nbformat.NotebookNode) -> None:
    """Code's width is ruff's, by notebooks/ruff.toml; the stubs of exercises stand in text."""
    long = [
        (cell.id, lines)
        for cell in notebook.cells
        if cell.cell_type == "code" and (lines := cell.source.count("\n") + 1) > MAX_LINES
    ]
    assert not long
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    stubs = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in "".join(stubs).splitlines() if len(line) > MAX_COLUMNS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_small_enough_to_open_on_github(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES


def test_all_notebooks_together_keep_to_their_budget() -> None:
    """Every execution of them comes into the history anew."""
    assert sum(path.stat().st_size for path in NOTEBOOKS) < MAX_BYTES_TOGETHER


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_says_in_one_line_that_the_kernel_is_another(path: Path) -> None:
    first = source_of_first(nbformat.read(path, as_version=4), "code")
    look, _, _ = first.partition("\n\n")
    done = subprocess.run([sys.executable, "-ISc", look], capture_output=True, text=True, cwd="/")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "make setup" in done.stderr


def test_it_grows_to_one_exercise_of_some_size_and_a_challenge_without_solution(
    notebook: nbformat.NotebookNode,
) -> None:
    """The hardest exercise's function has 15 to 40 lines, its docstring and comments aside."""
    hardness, sizes = "", []
    for cell in notebook.cells:
        hardness = (re.findall(r"\*Difficulty:\* ([●○]{3})", cell.source) or [hardness])[-1]
        if hardness == "●●●" and "exercise" in cell.metadata.get("tags", []):
            function = ast.parse(cell.source).body[-1]
            assert isinstance(function, ast.FunctionDef)
            function.body = function.body[1:]  # without the docstring
            sizes.append(ast.unparse(function).count("\n") + 1)
    assert any(15 <= size <= 40 for size in sizes), sizes
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert len(re.findall(r"^#+ Open challenge|^\*\*Open challenge\*\*", text, flags=re.MULTILINE)) == 1


def test_hard_exercises_have_a_worked_example_and_a_variation(notebook: nbformat.NotebookNode) -> None:
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    begins = [
        place for place, source in enumerate(cells) if re.search(r"^### Exercise \d", source, re.MULTILINE)
    ]
    hard = 0
    for begin, end in itertools.pairwise([*begins, len(cells)]):
        if "*Difficulty:* ●●●" in cells[begin]:
            name = cells[begin].splitlines()[0]
            assert any("**Worked example" in source for source in cells[begin - 1 : end]), name
            assert any(re.search(r"\bvariation:", source, re.IGNORECASE) for source in cells[begin:end]), name
            hard += 1
    assert hard
