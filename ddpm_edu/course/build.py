"""Makes the student's and the instructor's notebooks from the committed ones, which are solved.

There is one source, so that a student's stub, the solution and its check cannot drift apart. A built notebook
carries a digest of its cells' sources: one that somebody has worked in since is not overwritten. Nor is the
table of exercises, whose digest stands in a hidden file beside it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from ddpm_edu.course.exercises import (
    Exercise,
    find_exercises,
    read_notebook,
    refuse_doubles,
    solution_source,
    stub_source,
)
from ddpm_edu.errors import NotebookError
from ddpm_edu.files import refuse_foreign, write_atomically

OURS = "ddpm_edu"  # key of our entry in a built notebook's metadata
TO_NOTEBOOK = re.compile(r"""(\]\(|href=")(\d\d_\w+)\.ipynb""")  # a link to another notebook of the course
SOLVED_NOTE = re.compile(r"^This is the solved notebook.*?(?=\n\n|\Z)", flags=re.MULTILINE | re.DOTALL)
STUDENT_NOTE = "Write your solution into the cell below, run it, then run the check under it."
TABLE, TABLE_DIGEST = "exercises.csv", ".exercises.csv.sha256"
COLUMNS = ["notebook", "exercise", "function", "difficulty", "minutes", "points"]
INSTRUCTOR_NOTE = "The solution below is complete; students find a stub in its place."


@dataclass(frozen=True)
class Built:
    """What was built: where it stands, its exercises, and whether it was edited and therefore kept.

    The table of exercises is among them only where it was kept.
    """

    path: Path
    exercises: int
    kept: bool = False


@dataclass(frozen=True)
class Source:
    """A solved notebook with its exercises."""

    path: Path
    notebook: NotebookNode
    exercises: list[Exercise]


def read_course(paths: Sequence[Path]) -> list[Source]:
    """Reads the solved notebooks and holds their exercises to the course's form.

    Raises:
        NotebookError: if one cannot be read or its exercises are not put together well.
    """
    if not paths:
        raise NotebookError(
            "there are no notebooks to build from; name at least one, as notebooks/04_….ipynb"
        )
    sources = []
    for path in paths:
        notebook = read_notebook(path)
        sources.append(Source(path, notebook, find_exercises(notebook, path)))
    refuse_doubles([(source.path, exercise.name) for source in sources for exercise in source.exercises])
    return sources


def student_notebook(source: Source, with_solutions: bool = True) -> NotebookNode:
    """The student's version: stubs in place of solutions, no outputs, a folded solution under each check.

    Nothing is shown before it is predicted, so no outputs. The pictures to expect are on the course's pages.

    Args:
        source: the solved notebook.
        with_solutions: False leaves the folded solutions out, for homework that is graded.
    """
    notebook = deepcopy(source.notebook)
    notebook.metadata.pop("widgets", None)  # the frames of all widgets: megabytes that running makes again
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = SOLVED_NOTE.sub(STUDENT_NOTE, cell.source)
    folded = {}
    for exercise in source.exercises:
        cell = notebook.cells[exercise.solution_at]
        folded[exercise.check_at] = _folded_solution(exercise.name, cell.source)
        stub = stub_source(cell.source, f"{source.path}, cell {cell.get('id')}")
        cell.source = _with_notes(stub, _take_stub(notebook.cells[: exercise.solution_at], exercise.function))
        _unfold(cell)
        # Jupyter's "run all" goes on after a cell with this tag, and so past a check that does not pass yet,
        # and past a student's cell that cannot even be read.
        for at in (exercise.solution_at, exercise.check_at):
            cell = notebook.cells[at]
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "raises-exception"]
    cells = []
    for index, cell in enumerate(notebook.cells):
        cells.append(cell)
        if with_solutions and index in folded:
            cells.append(folded[index])
    notebook.cells = cells
    return _signed(notebook, "student")


def instructor_notebook(source: Source) -> NotebookNode:
    """The instructor's version: solved, solutions in sight, outputs kept, and the points of each exercise."""
    notebook = deepcopy(source.notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = SOLVED_NOTE.sub(INSTRUCTOR_NOTE, cell.source)
    for exercise in reversed(source.exercises):  # from the back: the indices before stay right
        _unfold(notebook.cells[exercise.solution_at])
        points = f"{exercise.points:g} point{'s' * (exercise.points != 1)}"
        note = new_markdown_cell(
            f"**{points}** for `{exercise.function}` (grade id `{exercise.name}`). To see the mistakes that "
            f"the check knows by name, open `checks.{exercise.check}`.",
            id=f"points-{exercise.name}"[:64],
        )
        notebook.cells.insert(exercise.check_at + 1, note)
    return _signed(notebook, "instructor")


def nbgrader_notebook(source: Source) -> NotebookNode:
    """nbgrader's source version: solved, for nbgrader makes its own stubs from the markers.

    What students get from it has the metadata and the text as they are here: so solutions are not folded,
    and the text speaks to students. Outputs and widgets would stay in part, and show what is to be predicted.
    """
    notebook = deepcopy(source.notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            # Each assignment stands in a folder of its own name.
            text = TO_NOTEBOOK.sub(r"\1../\2/\2.ipynb", cell.source)
            cell.source = SOLVED_NOTE.sub(STUDENT_NOTE, text)
    for exercise in source.exercises:
        _unfold(notebook.cells[exercise.solution_at])
    return _signed(notebook, "nbgrader")


def exercise_table(sources: Sequence[Source]) -> str:
    """All exercises as comma-separated values: for a gradebook or a term plan."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for source in sources:
        begin = 0
        for exercise in source.exercises:
            cells = source.notebook.cells[begin : exercise.solution_at]
            text_before = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
            difficulty = re.findall(r"[●○]{3}", text_before)
            minutes = re.findall(r"\*Time:\*\s*(?:about )?(\d+)", text_before)
            level = difficulty[-1].count("●") if difficulty else ""
            time = minutes[-1] if minutes else ""
            points = f"{exercise.points:g}"
            rows.writerow([source.path.stem, exercise.name, exercise.function, level, time, points])
            begin = exercise.check_at + 1
    return text.getvalue()


def build_course(
    paths: Sequence[Path],
    student: Path,
    instructor: Path,
    nbgrader: Path | None = None,
    with_solutions: bool = True,
    force: bool = False,
) -> list[Built]:
    """Writes the student's and the instructor's notebooks, and a table of the exercises for the instructor.

    Nothing is written if anything is wrong. Notebooks that somebody has worked in since they were built are
    kept: so a course is brought up to date in the middle of a term.

    Args:
        paths: the solved notebooks.
        student: folder for the student's versions.
        instructor: folder for the instructor's versions and `exercises.csv`.
        nbgrader: an nbgrader course's folder; each notebook becomes the assignment `source/NAME/NAME.ipynb`.
        with_solutions: folded solutions in the student's version.
        force: overwrite notebooks that were edited since they were built.

    Raises:
        NotebookError: if a notebook is not put together well, or another file would be overwritten.
    """
    sources = read_course(paths)
    solved = {path.resolve() for path in paths}
    plan: list[tuple[Path, NotebookNode, int]] = []
    for source in sources:
        count = len(source.exercises)
        plan.append((student / source.path.name, student_notebook(source, with_solutions), count))
        plan.append((instructor / source.path.name, instructor_notebook(source), count))
        if nbgrader is not None:
            target = nbgrader / "source" / source.path.stem / source.path.name
            plan.append((target, nbgrader_notebook(source), count))

    targets = [path.resolve() for path, _, _ in plan]
    if len(set(targets)) < len(targets) or solved & set(targets):
        raise NotebookError(
            f"{student} and {instructor} must be two folders, and neither that of the solved notebooks; "
            "choose others with --out and --instructor"
        )
    for folder in (student, instructor):
        if not _is_of_ours(folder):
            refuse_foreign(folder, [source.path.name for source in sources])
    kept = set() if force else {path for path, _, _ in plan if _is_edited(path)}
    table = instructor / TABLE
    rows = _table_with(table, exercise_table(sources))
    if not force and _is_edited_table(table, rows):
        kept.add(table)
    for path, notebook, _ in plan:
        if path in kept:
            continue
        nbformat.validate(notebook)
        with write_atomically(path) as file:
            file.write((nbformat.writes(notebook) + "\n").encode())
    if table not in kept:
        for path, text in ((table, rows), (instructor / TABLE_DIGEST, _digest_of_table(rows))):
            with write_atomically(path) as file:
                file.write(text.encode())
    built = [Built(path, count, path in kept) for path, _, count in plan]
    return [*built, Built(table, 0, kept=True)] if table in kept else built


def _take_stub(cells: Sequence[NotebookNode], function: str) -> str:
    """Takes the stub out of the text, as it stands in the cell now; what its comments say goes along."""
    block = re.compile(
        rf"^```python\ndef {function}\([^`]*?:\n(?P<notes>(?: +#[^\n]*\n)*)"
        r" +raise NotImplementedError[^\n]*\n```\n+",
        flags=re.MULTILINE,
    )
    for cell in reversed(cells):
        found = block.search(cell.source) if cell.cell_type == "markdown" else None
        if found:
            cell.source = cell.source.replace(found[0], "")
            return found["notes"]
    return ""


def _with_notes(stub: str, notes: str) -> str:
    """Puts comments before the line that says what is to be written."""
    if stub.count("raise NotImplementedError") != 1:
        return stub
    return re.sub(r"^(?= +raise NotImplementedError)", lambda _: notes, stub, flags=re.MULTILINE)


def _folded_solution(name: str, source: str) -> NotebookNode:
    text = (
        "<details><summary>Solution, for afterwards</summary>\n\n"
        f"```python\n{solution_source(source)}\n```\n\n</details>"
    )
    return new_markdown_cell(text, id=f"folded-{name}"[:64])


def _unfold(cell: NotebookNode) -> None:
    """Shows a cell that is folded in the committed notebook."""
    cell.metadata.pop("jupyter", None)
    cell.metadata["tags"] = [tag for tag in cell.metadata.get("tags", []) if tag != "hide-input"]


def _signed(notebook: NotebookNode, version: str) -> NotebookNode:
    notebook.metadata[OURS] = {"version": version, "sources": _digest(notebook)}
    return notebook


def _digest(notebook: NotebookNode) -> str:
    """Of the cells' sources only: running a notebook, or opening and saving it, is no edit."""
    text = "\0".join(f"{cell.cell_type}\0{cell.source}" for cell in notebook.cells)
    return hashlib.sha256(text.encode()).hexdigest()


def _made(path: Path) -> tuple[NotebookNode | None, str | None]:
    """A notebook and the digest that it was built with; None if no build has made it."""
    try:
        notebook = read_notebook(path)
    except NotebookError:
        return None, None
    return notebook, notebook.metadata.get(OURS, {}).get("sources")


def _is_of_ours(folder: Path) -> bool:
    """Whether a build has written into a folder before, of whichever notebooks."""
    return _is_our_table(folder / TABLE) or any(_made(path)[1] for path in sorted(folder.glob("*.ipynb")))


def _is_edited(path: Path) -> bool:
    """Whether somebody has worked in a built notebook since.

    Raises:
        NotebookError: if there is a file that no build has made.
    """
    if not path.exists():
        return False
    notebook, made = _made(path)
    if made is None:
        raise _not_made(path)
    return made != _digest(notebook)


def _not_made(path: Path) -> NotebookError:
    return NotebookError(
        f"{path} was not made by this command, and building would overwrite it; build into another "
        "folder with --out, or overwrite it with --force"
    )


def _text_of(table: Path) -> str:
    """Of a table of exercises; nothing if there is none, or it is not text."""
    try:
        return table.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _is_our_table(table: Path) -> bool:
    """Whether it begins as ours do; columns may have been added."""
    return _text_of(table).startswith(",".join(COLUMNS))


def _table_with(table: Path, new: str) -> str:
    """The table with the rows of what is built now, and of all other notebooks the rows that it has."""
    header, *rows = csv.reader(io.StringIO(new))
    built = {row[0] for row in rows}
    found = list(csv.reader(io.StringIO(_text_of(table)))) if _is_our_table(table) else []
    rows += [row for row in found[1:] if row and row[0] not in built]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *sorted(rows, key=lambda row: row[0])])
    return text.getvalue()


def _is_edited_table(table: Path, rows: str) -> bool:
    """Whether somebody has worked in the table since it was built; one without its digest may have been.

    Args:
        table: where it stands.
        rows: what would be written.

    Raises:
        NotebookError: if there is a file that no build has made.
    """
    if not table.exists():
        return False
    found = table.read_text(encoding="utf-8", errors="replace")
    digest = _text_of(table.with_name(TABLE_DIGEST)).strip()
    if not digest and not _is_our_table(table):
        raise _not_made(table)
    return found != rows and digest != _digest_of_table(found).strip()


def _digest_of_table(rows: str) -> str:
    return hashlib.sha256(rows.encode()).hexdigest() + "\n"
