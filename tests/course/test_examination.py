"""The questions of docs/examination.md: each names a cell that is there."""

import re

import nbformat

from ddpm_edu.paths import REPOSITORY, course_notebooks

ROW = re.compile(r"^\| (\d+) \| .+ \| (\d\d) \| `([\w-]+)` \|$", flags=re.MULTILINE)


def test_every_question_names_a_cell_that_is_there():
    rows = ROW.findall((REPOSITORY / "docs" / "examination.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _, _ in rows] == list(range(1, 98))
    cells = {
        path.name[:2]: {cell.id for cell in nbformat.read(path, as_version=4).cells}
        for path in course_notebooks()
    }
    assert not [(number, notebook, cell) for number, notebook, cell in rows if cell not in cells[notebook]]


def test_no_placeholder_is_left_in_a_notebook() -> None:
    for path in course_notebooks():
        left = [cell.id for cell in nbformat.read(path, as_version=4).cells if "@@" in cell.source]
        assert not left, f"{path.name}: {left}"
