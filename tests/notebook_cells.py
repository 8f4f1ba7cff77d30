"""Runs some cells of a notebook in this process, with what they need of the cells before: takes seconds."""

from __future__ import annotations

import symtable
from collections.abc import Iterable, Sequence
from typing import Any

from nbformat import NotebookNode


def run_cells(notebook: NotebookNode, wanted: Sequence[int]) -> dict[str, Any]:
    """Runs the cells at these indices in order, after all that they need; gives the names they leave."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for index in needed_cells(notebook, wanted):
        cell = notebook.cells[index]
        exec(compile(python_of(cell), f"<{cell.id}>", "exec"), namespace)
    return namespace


def needed_cells(notebook: NotebookNode, wanted: Iterable[int]) -> list[int]:
    """Indices of the wanted cells and of those that make the names they use, in order."""
    needed: set[int] = set()
    waiting = list(wanted)
    while waiting:
        index = waiting.pop()
        if index in needed:
            continue
        needed.add(index)
        used = names_used(python_of(notebook.cells[index]))
        for name in used:
            for before in range(index - 1, -1, -1):
                cell = notebook.cells[before]
                if cell.cell_type == "code" and name in names_made(python_of(cell)):
                    waiting.append(before)
                    break
    return sorted(needed)


def python_of(cell: NotebookNode) -> str:
    """A cell's source without IPython's own lines."""
    return "\n".join("" if line.startswith(("%", "!")) else line for line in cell.source.splitlines())


def names_used(source: str) -> set[str]:
    """Names of the notebook that the code reads, also inside its functions; not their own local names."""
    names, tables = set(), [symtable.symtable(source, "cell", "exec")]
    for table in tables:
        tables.extend(table.get_children())
        top = table.get_type() == "module"
        names |= {
            name.get_name()
            for name in table.get_symbols()
            if name.is_referenced() and (top or name.is_global())
        }
    return names


def names_made(source: str) -> set[str]:
    """Names that the code leaves in the notebook."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {name.get_name() for name in symbols if name.is_assigned() or name.is_imported()}
