"""All committed notebooks: student versions fail at their own checks and nowhere else, solutions pass."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from notebook_cells import run_cells

from ddpm_edu.cli import main
from ddpm_edu.course.build import (
    Source,
    build_course,
    exercise_table,
    instructor_notebook,
    nbgrader_notebook,
    read_course,
    student_notebook,
)
from ddpm_edu.course.diagnosis import CheckFailed
from ddpm_edu.errors import NotebookError
from ddpm_edu.paths import course_notebooks

COURSE = course_notebooks()
FORWARD = next(path for path in COURSE if path.stem == "04_forward_process")
MASKED = next(path for path in COURSE if path.stem == "05_masked_loss")


@pytest.fixture(scope="module", params=COURSE, ids=lambda path: path.stem)
def source(request: pytest.FixtureRequest) -> Source:
    return read_course([request.param])[0]


# ------------------------------------------------------------------------------------------------
# every notebook of the course
# ------------------------------------------------------------------------------------------------


def test_every_exercise_has_a_name_of_its_own() -> None:
    sources = read_course(COURSE)
    assert len(sources) == len(COURSE)
    functions = [(source.path, exercise.function) for source in sources for exercise in source.exercises]
    assert len(set(functions)) == len(functions), "two exercises of a notebook define the same name"


def test_a_stub_fails_at_its_own_check_and_says_so(source: Source) -> None:
    notebook = student_notebook(source, with_solutions=False)
    for exercise in source.exercises:
        with pytest.raises(CheckFailed) as caught:
            run_cells(notebook, [exercise.solution_at, exercise.check_at])
        message = str(caught.value)
        title, what, hint = message.splitlines()
        assert title.endswith(": not yet."), message
        assert "stub is still there" in what, message
        assert f"{exercise.function} is yours to write" in hint, message


def test_a_solution_put_back_passes_its_check(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    """Solutions go into the student's version one after the other, as a student would solve them."""
    notebook = student_notebook(source, with_solutions=False)
    for exercise in source.exercises:
        notebook.cells[exercise.solution_at] = source.notebook.cells[exercise.solution_at]
        run_cells(notebook, [exercise.solution_at, exercise.check_at])
        assert ": correct." in capsys.readouterr().out, exercise.name


def test_no_solution_is_left_in_the_student_version(source: Source) -> None:
    notebook = student_notebook(source, with_solutions=False)
    nbformat.validate(notebook)
    text = nbformat.writes(notebook)
    assert "BEGIN SOLUTION" not in text
    assert "END SOLUTION" not in text
    assert "solved notebook" not in text
    for exercise in source.exercises:
        cell = notebook.cells[exercise.solution_at]
        assert "raise NotImplementedError" in cell.source
        solution = source.notebook.cells[exercise.solution_at].source
        inside = solution.split("### BEGIN SOLUTION")[1].split("### END SOLUTION")[0]
        assert inside.strip() not in text
        assert cell.metadata.nbgrader.grade_id == exercise.name
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_each_solution_is_folded_right_below_its_check(source: Source) -> None:
    notebook = student_notebook(source)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for exercise in source.exercises:
        check = next(
            i
            for i, cell in enumerate(notebook.cells)
            if cell.metadata.get("nbgrader", {}).get("grade_id") == f"check-{exercise.name}"
        )
        folded = notebook.cells[check + 1].source
        assert folded.startswith("<details><summary>Solution")
        assert f"{exercise.function}(" in folded
        assert "### " not in folded


def test_the_instructor_version_is_solved_and_says_what_each_exercise_is_worth(source: Source) -> None:
    notebook = instructor_notebook(source)
    nbformat.validate(notebook)
    solved = [cell for cell in source.notebook.cells if cell.cell_type == "code"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code] == [cell.source for cell in solved]
    assert [cell.outputs for cell in code] == [cell.outputs for cell in solved]
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for exercise in source.exercises:
        assert f"point** for `{exercise.function}`" in text or f"points** for `{exercise.function}`" in text


def test_the_nbgrader_version_is_solved_but_neither_folded_nor_shown_beforehand(source: Source) -> None:
    notebook = nbgrader_notebook(source)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    text = nbformat.writes(notebook)
    assert "solved notebook" not in text
    for exercise in source.exercises:
        cell = notebook.cells[exercise.solution_at]
        assert cell.source == source.notebook.cells[exercise.solution_at].source
        assert "source_hidden" not in cell.metadata.get("jupyter", {})
        assert "hide-input" not in cell.metadata.tags
    assert not any(cell.get("outputs") for cell in notebook.cells)
    # Assignments stand in folders of their own: links lead from one to the other.
    assert not re.search(r"""(\]\(|href=\\?")\d\d_""", text)


def test_the_table_of_exercises_says_how_hard_and_how_long(source: Source) -> None:
    for row in csv.DictReader(io.StringIO(exercise_table([source]))):
        assert row["difficulty"] in ("1", "2", "3"), row
        assert 1 <= int(row["minutes"]) <= 60, row
        assert float(row["points"]) > 0, row


# ------------------------------------------------------------------------------------------------
# a whole notebook, as a student runs it
# ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_unsolved_notebook_runs_and_stops_only_where_something_is_to_be_written(tmp_path: Path) -> None:
    build_course([FORWARD], tmp_path / "student", tmp_path / "instructor")
    path = tmp_path / "student" / FORWARD.name
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()  # raises where a cell fails that is not meant to, as "run all" would stop there
    errors = {
        cell.id: output
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.id.startswith("check-")
        for output in cell.outputs
        if output.output_type == "error"
    }
    (source,) = read_course([FORWARD])
    assert errors.keys() == {f"check-{exercise.name}" for exercise in source.exercises}
    for exercise in source.exercises:
        output = errors[f"check-{exercise.name}"]
        assert output.ename == "CheckFailed"
        assert len(output.traceback) == 3  # the message alone
        assert "The stub is still there." in "\n".join(output.traceback)


# ------------------------------------------------------------------------------------------------
# what a command refuses
# ------------------------------------------------------------------------------------------------


def test_the_command_builds_and_builds_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["course", "build", str(FORWARD), "--out", "student", "--nbgrader", "grading"]) == 0
    first = (tmp_path / "student" / FORWARD.name).read_bytes()
    assert main(["course", "build", str(FORWARD), "--out", "student", "--nbgrader", "grading"]) == 0
    assert (tmp_path / "student" / FORWARD.name).read_bytes() == first
    assert "4 exercises" in capsys.readouterr().out
    assert (tmp_path / "instructor" / FORWARD.name).is_file()
    assert (tmp_path / "grading" / "source" / FORWARD.stem / FORWARD.name).is_file()


def test_what_a_student_wrote_is_not_overwritten(tmp_path: Path) -> None:
    student, instructor = tmp_path / "student", tmp_path / "instructor"
    build_course([FORWARD], student, instructor)
    path = student / FORWARD.name

    ran = nbformat.read(path, as_version=4)
    ran.cells[1].execution_count = 1
    nbformat.write(ran, path)
    build_course([FORWARD], student, instructor)  # running a notebook is no edit

    edited = nbformat.read(path, as_version=4)
    edited.cells[-1].source += "\nmy own note"
    nbformat.write(edited, path)
    before = (instructor / FORWARD.name).stat().st_mtime_ns
    (student_built, instructor_built) = build_course([FORWARD], student, instructor)
    assert (student_built.kept, instructor_built.kept) == (True, False)
    assert "my own note" in path.read_text()
    assert (instructor / FORWARD.name).stat().st_mtime_ns > before, "all others are brought up to date"
    build_course([FORWARD], student, instructor, force=True)
    assert "my own note" not in path.read_text()


def test_notebooks_built_one_after_another_share_their_folders_and_one_table(tmp_path: Path) -> None:
    one, both = tmp_path / "one", tmp_path / "both"
    for path in (MASKED, FORWARD, MASKED):
        assert not any(item.kept for item in build_course([path], one / "student", one / "instructor"))
    build_course([FORWARD, MASKED], both / "student", both / "instructor")
    assert (one / "instructor" / "exercises.csv").read_text() == exercise_table(
        read_course([FORWARD, MASKED])
    )
    assert sorted(path.name for path in one.rglob("*")) == sorted(path.name for path in both.rglob("*"))


def test_what_an_instructor_wrote_into_the_table_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    build_course([FORWARD, MASKED], Path("student"), Path("instructor"))
    table = Path("instructor/exercises.csv")
    edited = table.read_text().replace("points\n", "points,due\n").replace(",1\n", ',1,"Mon\n\nday"\n')
    table.write_text(edited)
    assert main(["course", "build", str(FORWARD)]) == 0
    assert table.read_text() == edited
    said = f"kept, for it was edited since it was built: {table} (--force overwrites it)"
    assert said in capsys.readouterr().out
    build_course([FORWARD], Path("student"), Path("instructor"), force=True)
    rows = list(csv.reader(io.StringIO(table.read_text())))
    assert {len(row) for row in rows if row[0] == FORWARD.stem} == {6}
    assert {row[6] for row in rows if row[0] == MASKED.stem} == {"Mon\n\nday"}
    assert {row[0] for row in rows[1:]} == {FORWARD.stem, MASKED.stem}

    Path("other").mkdir()
    Path("other/exercises.csv").write_text("push-ups,20\n")
    Path("other", FORWARD.name).write_bytes(Path("instructor", FORWARD.name).read_bytes())
    with pytest.raises(NotebookError, match=r"exercises\.csv was not made by this command"):
        build_course([FORWARD], Path("student"), Path("other"))


def test_a_file_that_is_not_ours_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / FORWARD.name).write_text("a student's notes")
    with pytest.raises(NotebookError, match="was not made by this command"):
        build_course([FORWARD], tmp_path / "student", tmp_path / "instructor")


@pytest.mark.parametrize(
    "folders", [(FORWARD.parent, Path("x")), (Path("x"), FORWARD.parent), (Path("x"),) * 2]
)
def test_solved_notebooks_are_never_the_target(folders: tuple[Path, Path]) -> None:
    before = FORWARD.read_bytes()
    with pytest.raises(NotebookError, match="must be two folders"):
        build_course([FORWARD], *folders, force=True)
    assert FORWARD.read_bytes() == before


def test_two_notebooks_may_not_share_a_grade_id(tmp_path: Path) -> None:
    other = tmp_path / "05_copy.ipynb"
    other.write_bytes(FORWARD.read_bytes())
    with pytest.raises(NotebookError, match=r"05_copy.*'forward-chain' is taken, in .*04_forward"):
        read_course([FORWARD, other])


def test_a_copy_beside_a_notebook_is_left_out_and_named_as_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notebooks").mkdir()
    solved, copy = (tmp_path / "notebooks" / f"04_forward_process{end}.ipynb" for end in ("", "-Copy1"))
    solved.write_bytes(FORWARD.read_bytes())
    copy.write_bytes(FORWARD.read_bytes())
    monkeypatch.setattr("ddpm_edu.paths.REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["course", "build"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 notebooks with 4 exercises")
    assert f"left out, for the course's notebooks are named NN_words.ipynb: {copy}\n" in said
    with pytest.raises(NotebookError, match="if one of them is a copy, leave it out"):
        read_course([solved, copy])


@pytest.mark.parametrize("minor", [0, 4])
def test_a_notebook_of_an_older_format_is_built_like_the_new_one(tmp_path: Path, minor: int) -> None:
    notebook = nbformat.read(FORWARD, as_version=4)
    notebook.nbformat_minor = minor
    for cell in notebook.cells if minor == 0 else []:  # some editors leave the names, some do not
        del cell["id"]
    old = tmp_path / "old" / FORWARD.name
    old.parent.mkdir()
    old.write_text(nbformat.v4.writes(notebook))
    for path in (old, FORWARD):
        build_course([path], tmp_path / path.parent.name / "student", tmp_path / path.parent.name / "teacher")
    built = [
        nbformat.read(tmp_path / folder / "student" / FORWARD.name, 4) for folder in ("old", "notebooks")
    ]
    assert [cell.source for cell in built[0].cells] == [cell.source for cell in built[1].cells]


def test_a_folder_in_place_of_a_notebook_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="is a folder; name its notebooks"):
        read_course([tmp_path])


def test_the_built_notebook_shares_nothing_with_its_source() -> None:
    (source,) = read_course([FORWARD])
    before = deepcopy(source.notebook)
    student_notebook(source)
    instructor_notebook(source)
    assert source.notebook == before


def test_building_does_not_wait_for_torch() -> None:
    code = "import sys, ddpm_edu.course.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
