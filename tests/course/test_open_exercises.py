"""An exercise that is not solved yet stops its own check and no other cell: read off the notebooks."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest
import torch
from nbformat import NotebookNode
from notebook_cells import names_made, names_used, python_of

from ddpm_edu.course.build import Source, read_course
from ddpm_edu.paths import course_notebooks


@pytest.fixture(scope="module", params=course_notebooks(), ids=lambda path: path.stem)
def source(request: pytest.FixtureRequest) -> Source:
    return read_course([request.param])[0]


def is_guard(node: ast.AST) -> bool:
    """Whether it goes on where an exercise is open: `with checks.once_solved()`, or an except of our own."""
    if isinstance(node, ast.With):
        return any(ast.unparse(item.context_expr) == "checks.once_solved()" for item in node.items)
    return isinstance(node, ast.Try) and any(
        handler.type and "NotImplementedError" in ast.unparse(handler.type) for handler in node.handlers
    )


class WithoutGuards(ast.NodeTransformer):
    """What of a cell runs in any case."""

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.Pass() if is_guard(node) else super().generic_visit(node)


def unguarded(source: str) -> str:
    return ast.unparse(WithoutGuards().visit(ast.parse(source)))


def guarded_names(source: str) -> set[str]:
    """Names that the code makes only if the exercises that it uses are solved."""
    blocks = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if is_guard(node)]
    return set().union(*map(names_made, blocks)) - names_made(unguarded(source)) if blocks else set()


def other_cells(source: Source) -> list[NotebookNode]:
    """The code cells that are no part of an exercise."""
    exercises = {index for one in source.exercises for index in (one.solution_at, one.check_at)}
    return [
        cell
        for index, cell in enumerate(source.notebook.cells)
        if cell.cell_type == "code" and index not in exercises
    ]


def needs_of(cell: NotebookNode, lacking: set[str]) -> set[str]:
    """Which of the lacking names the cell reads in any case, and does not make itself."""
    code = unguarded(python_of(cell))
    return (names_used(code) & lacking) - names_made(code)


def test_other_cells_use_the_students_functions_only_where_they_may_be_missing(source: Source) -> None:
    lacking = {exercise.function for exercise in source.exercises}
    for cell in other_cells(source):
        needs = needs_of(cell, lacking)
        assert not needs, (
            f"{source.path.name}, {cell.id}: {sorted(needs)} may be missing: take the package's function, "
            "or put the lines into `with checks.once_solved():`"
        )
        code = python_of(cell)
        lacking = (lacking - names_made(unguarded(code))) | guarded_names(code)


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        ("print(mine(2))", {"mine"}),
        ("with checks.once_solved():\n    print(mine(2))", set()),
        ("with checks.once_solved():\n    print(mine(2))\nprint(mine(3))", {"mine"}),
        ("with open(mine(2)) as file:\n    file.read()", {"mine"}),
        ("try:\n    mine(2)\nexcept (KeyError, NotImplementedError):\n    pass", set()),
        ("try:\n    mine(2)\nexcept KeyError:\n    pass", {"mine"}),
        ("values = [mine(k) for k in range(3)]", {"mine"}),
        ("def other(x):\n    return mine(x)", {"mine"}),
        ("for mine in range(3):\n    print(mine)", set()),
    ],
)
def test_what_a_cell_needs_in_any_case(code: str, needs: set[str]) -> None:
    assert needs_of(NotebookNode(source=code), {"mine"}) == needs


def test_names_made_in_a_guard_are_lacking_afterwards() -> None:
    assert guarded_names("x = 1\nwith checks.once_solved():\n    x = mine()\n    y = x") == {"y"}


def test_the_guard_says_in_one_line_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    from ddpm_edu.course import checks

    with checks.once_solved():
        raise NotImplementedError("add_noise is yours to write")
    assert capsys.readouterr().out == "add_noise is yours to write: this comparison waits for it.\n"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            lambda: torch.testing.assert_close(torch.zeros(2), torch.ones(2)),
            "AssertionError: Tensor-likes are",
        ),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: torch.ones(2).long().softmax(0), "not implemented for 'Long'"),
        (lambda: undefined_function(2), "NameError: name 'undefined_function' is not defined"),  # noqa: F821
    ],
)
def test_a_wrong_attempt_does_not_stop_the_cells_that_follow(
    wrong: Callable[[], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from ddpm_edu.course import checks

    with checks.once_solved():
        wrong()
    out = capsys.readouterr().out
    assert out.startswith("not equal yet (")
    assert said in out
    assert out.count("\n") == 1
