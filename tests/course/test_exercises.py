"""Notebooks whose exercises are not put together well are refused, each in one line that names the cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ddpm_edu.course.exercises import find_exercises, read_notebook, solution_source, stub_source
from ddpm_edu.errors import NotebookError

SOLUTION = '''def {name}(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION'''


def notebook_with(names: tuple[str, ...] = ("one", "two", "three")) -> nbformat.NotebookNode:
    cells = [new_markdown_cell("# Title?", id="title")]
    for name in names:
        graded = {"locked": False, "schema_version": 3, "task": False}
        solution = {"nbgrader": {"grade_id": name, "grade": False, "solution": True, **graded}}
        check = {
            "nbgrader": {"grade_id": f"check-{name}", "grade": True, "solution": False, "points": 1, **graded}
        }
        cells.append(new_code_cell(SOLUTION.format(name=name), id=f"solution-{name}", metadata=solution))
        cells.append(new_markdown_cell("Now check.", id=f"text-{name}"))
        cells.append(new_code_cell(f"checks.{name}({name})", id=f"check-{name}", metadata=check))
    return new_notebook(cells=cells)


def test_exercises_are_found_in_order() -> None:
    exercises = find_exercises(notebook_with(), "n.ipynb")
    assert [exercise.name for exercise in exercises] == ["one", "two", "three"]
    assert [(exercise.solution_at, exercise.check_at) for exercise in exercises] == [(1, 3), (4, 6), (7, 9)]
    assert {exercise.points for exercise in exercises} == {1}


def edit(cell: int, **changes: object) -> Callable[[nbformat.NotebookNode], None]:
    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[cell].metadata.nbgrader.update(changes)

    return change


def replace(cell: int, old: str, new: str) -> Callable[[nbformat.NotebookNode], None]:
    def change(notebook: nbformat.NotebookNode) -> None:
        assert old in notebook.cells[cell].source
        notebook.cells[cell].source = notebook.cells[cell].source.replace(old, new)

    return change


def delete(cell: int) -> Callable[[nbformat.NotebookNode], None]:
    return lambda notebook: notebook.cells.pop(cell)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (replace(1, "    ### BEGIN SOLUTION\n", ""), "cell solution-one: '### END SOLUTION' without"),
        (replace(1, "\n    ### END SOLUTION", ""), "cell solution-one: '### BEGIN SOLUTION' without"),
        (replace(1, "### END", "### BEGIN"), "a second '### BEGIN SOLUTION'"),
        (replace(1, "### BEGIN", "# BEGIN"), "'# BEGIN SOLUTION' is misspelt"),
        (
            replace(1, SOLUTION.format(name="one"), "one = 1"),
            "marked as a solution for nbgrader, but without",
        ),
        (replace(1, "def one(x):", "def one(x:"), "without its solution the cell is not Python"),
        (
            replace(1, "def one", "def other"),
            "checks 'one', which the exercise 'one' before it does not define",
        ),
        (replace(3, "checks.one(one)", "one(1)"), "cell check-one: a check calls checks.NAME(function)"),
        (edit(1, solution=False), "cell solution-one: a solution without nbgrader metadata"),
        (edit(1, grade_id=""), "cell solution-one: a solution without nbgrader metadata"),
        (edit(1, schema_version=1), "schema_version 1; 3 is wanted"),
        (edit(1, grade_id="two"), "grade_id 'check-one'; it must be 'check-two'"),
        (edit(3, points=0), "cell check-one: its nbgrader metadata needs points above 0"),
        (edit(3, grade=False), "the exercise 'one' has no check"),
        (delete(3), "the exercise 'one' has no check"),
        (delete(1), "cell check-one: a check that follows no exercise"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(spoil: Callable, said: str) -> None:
    notebook = notebook_with()
    spoil(notebook)
    with pytest.raises(NotebookError, match=re.escape(said)) as caught:
        find_exercises(notebook, "n.ipynb")
    assert str(caught.value).startswith("n.ipynb, cell ")
    assert "\n" not in str(caught.value)


def test_a_grade_id_twice_is_refused() -> None:
    notebook = notebook_with()
    notebook.cells[7].metadata.nbgrader.grade_id = "one"
    notebook.cells[9].metadata.nbgrader.grade_id = "check-one"
    with pytest.raises(NotebookError, match="'one' is taken"):
        find_exercises(notebook, "n.ipynb")


def test_three_exercises_at_least() -> None:
    with pytest.raises(NotebookError, match="has 2 exercises"):
        find_exercises(notebook_with(("one", "two")), "n.ipynb")


@pytest.mark.parametrize("content", [b"", b"not a notebook", b"[]", b"{}", b"\xff\xfe"])
def test_a_file_that_is_no_notebook(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotebookError, match=r"n\.ipynb is not a notebook"):
        read_notebook(path)


def test_a_missing_notebook(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="there is no such notebook"):
        read_notebook(tmp_path / "n.ipynb")


def test_a_stub_keeps_what_stands_outside_the_markers() -> None:
    source = '''import math


class Block(nn.Module):
    """A block."""

    def __init__(self, width):
        super().__init__()
        ### BEGIN SOLUTION
        self.width = width
        ### END SOLUTION

    def forward(self, x):
        """x: (B, T)."""
        ### BEGIN SOLUTION
        if True:
            return x
        ### END SOLUTION


helper = 1'''
    stub = stub_source(source, "here")
    assert stub.splitlines() == [
        "import math",
        "",
        "",
        "class Block(nn.Module):",
        '    """A block."""',
        "",
        "    def __init__(self, width):",
        "        super().__init__()",
        '        raise NotImplementedError("__init__ is yours to write")',
        "",
        "    def forward(self, x):",
        '        """x: (B, T)."""',
        '        raise NotImplementedError("forward is yours to write")',
        "",
        "",
        "helper = 1",
    ]
    assert "SOLUTION" not in solution_source(source)
    assert len(solution_source(source).splitlines()) == len(source.splitlines()) - 4
