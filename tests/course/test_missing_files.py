"""Notebooks go on where shipped data, policies or measurements are missing: read off their cells."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from notebook_cells import python_of

from ddpm_edu.paths import course_notebooks

SHIPPED = {"shipped_demonstrations", "shipped_policy"}
CAUGHT = {"UserError", "DatasetError", "CheckpointError"}


def unguarded_files(source: str, known: set[str] | None = None) -> list[str]:
    """Expressions that stop the cell where a file is missing.

    Args:
        source: the cell's.
        known: what was asked for under guard in cells before, so that the notebook knows whether it is there;
            what this cell asks for under guard is added.
    """
    found: list[str] = []
    known = set() if known is None else known

    def visit(node: ast.AST, caught: bool) -> None:
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            if name in SHIPPED and caught:
                known.add(ast.unparse(node))
            elif name in SHIPPED and ast.unparse(node) not in known:
                found.append(ast.unparse(node))
            if name == "read_text" and "is_file" not in source:
                found.append(ast.unparse(node))
        if isinstance(node, ast.Try):
            named = {part for handler in node.handlers if handler.type for part in names(handler.type)}
            for child in node.body:
                visit(child, caught or bool(named & CAUGHT))
            for handler in node.handlers:  # what takes a missing thing's place
                visit(handler, True)
            for child in [*node.orelse, *node.finalbody]:
                visit(child, caught)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, caught)

    visit(ast.parse(source), False)
    return found


def names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


@pytest.mark.parametrize("path", course_notebooks(), ids=lambda path: path.stem)
def test_no_cell_stops_where_a_file_is_missing(path: Path) -> None:
    known: set[str] = set()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            found = unguarded_files(python_of(cell), known)
            assert not found, f"{path.name}, {cell.id}: {found}: print what to do, and go on"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('load_policy(shipped_policy("can_unet"))', 1),
        ('try:\n    shipped_policy("can_unet")\nexcept UserError as error:\n    print(error)', 0),
        ('try:\n    shipped_policy("can_unet")\nexcept (KeyError, CheckpointError):\n    pass', 0),
        ('try:\n    shipped_policy("can_unet")\nexcept KeyError:\n    pass', 1),
        ('def show():\n    return shipped_demonstrations("can")', 1),
        ('json.loads((DATA / "measurements" / "ema.json").read_text())', 1),
        ("json.loads(stored.read_text()) if stored.is_file() else {}", 0),
    ],
)
def test_what_stops_a_cell(source: str, found: int) -> None:
    assert len(unguarded_files(source)) == found
