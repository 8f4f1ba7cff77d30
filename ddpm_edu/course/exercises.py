"""The exercises of a notebook: where they stand, what they are worth, and whether they are put together well.

The committed notebook is the solved one. A solution stands between two markers in its cell; the cell after it
is its check. Both carry nbgrader's metadata (schema version 3), so that nbgrader can grade the same notebook.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ddpm_edu.errors import NotebookError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
SCHEMA_VERSION = 3  # of nbgrader's metadata
MIN_EXERCISES = 3

Cell = NotebookNode


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook.

    Attributes:
        name: its grade_id, which no other exercise of the course has.
        function: what the student writes: the function's (or class's) name.
        check: the name in `ddpm_edu.course.checks` of the function that checks it.
        solution_at: index of the solution's cell.
        check_at: index of the check's cell.
        points: what it is worth.
    """

    name: str
    function: str
    check: str
    solution_at: int
    check_at: int
    points: float


def read_notebook(path: Path) -> NotebookNode:
    """Reads a notebook of any format, as the newest: cells without a name get one by their place.

    Raises:
        NotebookError: if there is none, or it cannot be read.
    """
    if path.is_dir():
        raise NotebookError(f"{path} is a folder; name its notebooks, as {path / '*.ipynb'}")
    try:
        notebook = nbformat.convert(nbformat.reader.reads(path.read_text("utf-8")), 4)
        if notebook.nbformat_minor < 5:  # cells have had names since 4.5
            for place, cell in enumerate(notebook.cells):
                cell.setdefault("id", f"cell-{place}")
            notebook.nbformat_minor = 5
        nbformat.validate(notebook)
    except FileNotFoundError:
        raise NotebookError(f"{path}: there is no such notebook; name one of notebooks/*.ipynb") from None
    except (OSError, ValueError, LookupError, AttributeError, TypeError, nbformat.ValidationError) as error:
        # nbformat takes for granted that JSON is an object, and of the right kind.
        reason = str(error).splitlines()[0][:120]
        raise NotebookError(f"{path} is not a notebook ({reason}); restore it with git checkout") from None
    return notebook


def find_exercises(notebook: NotebookNode, path: str | Path) -> list[Exercise]:
    """The exercises of a solved notebook, in order.

    Args:
        notebook: the solved notebook.
        path: where it stands, for the messages.

    Raises:
        NotebookError: if an exercise lacks its markers, its check or its metadata; if a grade_id is there
            twice; or if there are fewer than three exercises. The message names the cell.
    """
    exercises = []
    checks_at = set()
    for index, cell in enumerate(notebook.cells):
        place = f"{path}, cell {cell.get('id', index)}"
        marked = "BEGIN SOLUTION" in cell.source or "END SOLUTION" in cell.source
        if cell.cell_type != "code":
            continue
        if not marked and not _grading(cell).get("solution"):
            continue
        stub_source(cell.source, place)
        name = _solution_name(cell, place)
        check_at = next(
            (i for i in range(index + 1, len(notebook.cells)) if notebook.cells[i].cell_type == "code"), None
        )
        if check_at is None or not _grading(notebook.cells[check_at]).get("grade"):
            raise NotebookError(
                f"{place}: the exercise {name!r} has no check; the next code cell must be one, with the "
                f"grade_id 'check-{name}' and grade: true in its nbgrader metadata"
            )
        checks_at.add(check_at)
        exercises.append(_exercise(notebook, index, check_at, name, path))
    for index, cell in enumerate(notebook.cells):
        if _grading(cell).get("grade") and index not in checks_at:
            raise NotebookError(
                f"{path}, cell {cell.get('id', index)}: a check that follows no exercise; put it into the "
                "code cell after its solution"
            )
    refuse_doubles([(path, exercise.name) for exercise in exercises])
    if len(exercises) < MIN_EXERCISES:
        raise NotebookError(
            f"{path} has {len(exercises)} exercises; a notebook of the course has at least {MIN_EXERCISES}. "
            f"An exercise is a code cell with the markers {BEGIN!r} and {END!r}"
        )
    return exercises


def refuse_doubles(names: Iterable[tuple[str | Path, str]]) -> None:
    """Raises NotebookError if a grade_id is there twice, in one notebook or in two: grades would be mixed up.

    Args:
        names: pairs of a notebook and a grade_id in it.
    """
    seen: dict[str, str | Path] = {}
    for path, name in names:
        if name in seen:
            copy = "" if path == seen[name] else "if one of them is a copy, leave it out; otherwise "
            raise NotebookError(
                f"{path}: the grade_id {name!r} is taken, in {seen[name]}; {copy}give each exercise its own"
            )
        seen[name] = path


def stub_source(source: str, place: str) -> str:
    """What the student finds in place of a solution: signature and docstring, and that it is to be written.

    Args:
        source: the solution's cell. It may hold several functions, each with its own pair of markers.
        place: notebook and cell, for the messages.

    Raises:
        NotebookError: if markers are missing, doubled or in the wrong order, or what is left is not Python.
    """
    stub: list[str] = []
    indent: str | None = None  # of the solution that we are in
    solutions = 0
    for line in source.splitlines():
        marker = line.strip()
        if marker == BEGIN:
            if indent is not None:
                raise NotebookError(f"{place}: a second {BEGIN!r} before {END!r}; close the first one")
            indent = line[: len(line) - len(line.lstrip())]
        elif marker == END:
            if indent is None:
                raise NotebookError(
                    f"{place}: {END!r} without {BEGIN!r} before it; add it where the solution begins"
                )
            name = _enclosing("\n".join(stub)) or "it"
            stub.append(f'{indent}raise NotImplementedError("{name} is yours to write")')
            indent = None
            solutions += 1
        elif "BEGIN SOLUTION" in line or "END SOLUTION" in line:
            raise NotebookError(f"{place}: the marker {marker!r} is misspelt; write {BEGIN!r} or {END!r}")
        elif indent is None:
            stub.append(line)
    if indent is not None:
        raise NotebookError(f"{place}: {BEGIN!r} without {END!r} after it; add it where the solution ends")
    if not solutions:
        raise NotebookError(
            f"{place}: marked as a solution for nbgrader, but without {BEGIN!r} and {END!r} around it"
        )
    text = "\n".join(stub)
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise NotebookError(
            f"{place}: without its solution the cell is not Python (line {error.lineno}: {error.msg}); the "
            "signature and the docstring stand outside the markers"
        ) from None
    return text


def solution_source(source: str) -> str:
    """A solution's cell without the markers: what is shown to someone who looks it up."""
    return "\n".join(line for line in source.splitlines() if line.strip() not in (BEGIN, END))


def _exercise(
    notebook: NotebookNode, solution_at: int, check_at: int, name: str, path: str | Path
) -> Exercise:
    cell, grading = notebook.cells[check_at], _grading(notebook.cells[check_at])
    place = f"{path}, cell {cell.get('id', check_at)}"
    wanted = f"check-{name}"
    if grading.get("grade_id") != wanted:
        raise NotebookError(
            f"{place}: the check of {name!r} has the grade_id {grading.get('grade_id')!r}; "
            f"it must be {wanted!r}"
        )
    if grading.get("schema_version") != SCHEMA_VERSION or not grading.get("points", 0) > 0:
        raise NotebookError(
            f"{place}: its nbgrader metadata needs points above 0 and schema_version {SCHEMA_VERSION}; "
            f"found {grading.get('points')} and {grading.get('schema_version')}"
        )
    call = re.search(r"^checks\.(\w+)\(\s*(\w+)", cell.source, flags=re.MULTILINE)
    if call is None:
        raise NotebookError(f"{place}: a check calls checks.NAME(function); found {cell.source[:60]!r}")
    solution = notebook.cells[solution_at].source
    if not re.search(rf"^(?:def|class) {call[2]}\b", solution, flags=re.MULTILINE):
        raise NotebookError(
            f"{place}: it checks {call[2]!r}, which the exercise {name!r} before it does not define"
        )
    return Exercise(name, call[2], call[1], solution_at, check_at, grading["points"])


def _solution_name(cell: Cell, place: str) -> str:
    grading = _grading(cell)
    if not grading.get("solution") or not grading.get("grade_id"):
        raise NotebookError(
            f"{place}: a solution without nbgrader metadata; it needs solution: true and a grade_id, see "
            "CONTRIBUTING.md, Notebooks"
        )
    if grading.get("schema_version") != SCHEMA_VERSION:
        raise NotebookError(
            f"{place}: the nbgrader metadata has the schema_version {grading.get('schema_version')}; "
            f"{SCHEMA_VERSION} is wanted"
        )
    return grading["grade_id"]


def _grading(cell: Cell) -> dict:
    return cell.metadata.get("nbgrader", {})


def _enclosing(text: str) -> str | None:
    """The name of the function or class that the last lines belong to."""
    names = re.findall(r"^ *(?:def|class) (\w+)", text, flags=re.MULTILINE)
    return names[-1] if names else None
