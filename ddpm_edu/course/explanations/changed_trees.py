"""A function's definition with one node of it changed: made quickly, for there are thousands to try."""

from __future__ import annotations

import ast
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType

Change = tuple[str, Callable[[ast.AST], ast.AST | None]]
Changed = tuple[Callable[[], str], ast.FunctionDef]
"""What was changed, said when it is asked for; and the function with the change."""

Path = tuple[tuple[str, int | None], ...]
"""The way from a tree's root to a node: fields, with the place where a field is a list."""


def everywhere(tree: ast.FunctionDef, at: Callable[[ast.AST], Iterator[Change]]) -> Iterator[Changed]:
    """Copies of the tree with each change that is possible at each node."""
    packed = pickle.dumps(tree)
    for path, node in _paths(tree):
        for what, change in at(node):
            copy = above = target = pickle.loads(packed)
            for step in path:
                above, target = target, _child(target, *step)
            new = change(target)
            if new is None or (new is not target and not path):
                continue
            if new is not target:
                field, place = path[-1]
                if place is None:
                    setattr(above, field, new)
                else:
                    getattr(above, field)[place] = new
            ast.fix_missing_locations(new)
            yield (lambda what=what, new=new, copy=copy: f"{what}{_near(new, copy)}"), copy


def _paths(tree: ast.AST) -> Iterator[tuple[Path, ast.AST]]:
    """All nodes in the order of `ast.walk`."""
    waiting: deque[tuple[Path, ast.AST]] = deque([((), tree)])
    while waiting:
        path, node = waiting.popleft()
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.AST):
                waiting.append(((*path, (field, None)), value))
            elif isinstance(value, list):
                inside = [(i, one) for i, one in enumerate(value) if isinstance(one, ast.AST)]
                waiting.extend(((*path, (field, i)), one) for i, one in inside)
        yield path, node


def _child(node: ast.AST, field: str, place: int | None) -> ast.AST:
    value = getattr(node, field)
    return value if place is None else value[place]


def code_of(tree: ast.FunctionDef, name: str) -> CodeType:
    """A definition as code; its lines are numbered only where they must be, which takes its time."""
    module = ast.Module(body=[tree], type_ignores=[])
    try:
        return compile(module, name, "exec")
    except TypeError:  # a node without a line
        return compile(ast.fix_missing_locations(module), name, "exec")


def put(parent: ast.AST, old: ast.AST, new: ast.AST) -> bool:
    for field, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, field, new)
            return True
        if isinstance(value, list) and any(one is old for one in value):
            value[[one is old for one in value].index(True)] = new
            return True
    return False


def _near(node: ast.AST, tree: ast.FunctionDef) -> str:
    """The changed place: its line if that is short, else as much around it as is."""
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.stmt) or isinstance(statement, ast.FunctionDef):
            continue
        head = [
            child
            for child in ast.iter_child_nodes(statement)
            if not isinstance(child, ast.stmt)  # the body of a loop has lines of its own
        ]
        around = [one for child in head for one in ast.walk(child) if _holds(one, node)]
        if node is not statement and not around:
            continue
        texts = [ast.unparse(one).splitlines()[0] for one in (statement, *around)]
        short = [text for text in texts if len(text) <= _SHORT]
        return f" (`{max(short, key=len) if short else min(texts, key=len)}`)"
    return ""


_SHORT = 80


def _holds(whole: ast.AST, part: ast.AST) -> bool:
    return isinstance(whole, ast.expr) and any(one is part for one in ast.walk(whole))
