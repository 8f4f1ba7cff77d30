"""The changes that `slips` makes in lines: one left out, two exchanged, two names of a line exchanged."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator
from typing import Any

Change = tuple[str, Callable[[ast.AST], ast.AST | None]]


def of_statement(node: ast.Assign | ast.Return, names: list[str]) -> Iterator[Change]:
    """Two names of a line are exchanged, in all its places."""
    there = {one.id for one in _read(node)}
    for a, b in itertools.combinations([name for name in names if name in there], 2):
        yield f"`{a}` and `{b}` are exchanged", lambda n, a=a, b=b: _renamed(n, {a: b, b: a})


def _read(node: ast.AST) -> list[ast.Name]:
    return [one for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)]


def _renamed(node: ast.AST, to: dict[str, str]) -> ast.AST:
    for one in _read(node):
        one.id = to.get(one.id, one.id)
    return node


def exchange(values: list[Any], i: int, j: int) -> None:
    """Two entries of a list change places."""
    values[i], values[j] = values[j], values[i]


def of_block(node: ast.FunctionDef | ast.For | ast.If | ast.While) -> Iterator[Change]:
    if isinstance(node, ast.If):
        for value in (True, False):
            yield (
                f"`if {ast.unparse(node.test)}` is not asked",
                lambda n, value=value: (setattr(n, "test", ast.Constant(value)), n)[1],
            )
    for index, statement in enumerate(node.body):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            yield (
                f"`{name}` is always 0",
                lambda n, i=index: (setattr(n.body[i], "value", ast.Constant(0)), n.body[i].value, n)[2],
            )
        if isinstance(statement, ast.Return | ast.For | ast.While | ast.If):
            continue
        text = ast.unparse(statement).splitlines()[0]
        yield f"the line `{text}` is left out", lambda n, i=index: (n.body.__setitem__(i, ast.Pass()), n)[1]
    for index, (first, then) in enumerate(zip(node.body, node.body[1:], strict=False)):
        if isinstance(first, ast.For) and isinstance(then, ast.Return):
            yield (
                "`return` stands inside the loop",
                lambda n, i=index: (n.body[i].body.append(n.body.pop(i + 1)), n)[1],
            )
        if isinstance(first, ast.For) and isinstance(first.body[-1], ast.Assign | ast.Expr):
            text = ast.unparse(first.body[-1]).splitlines()[0]
            yield (
                f"`{text}` stands after the loop",
                lambda n, i=index: (
                    (n.body.insert(i + 1, n.body[i].body.pop()), n)[1] if len(n.body[i].body) > 1 else None
                ),
            )
        if not isinstance(then, ast.Return) and not isinstance(node, ast.FunctionDef):
            lines = " and ".join(f"`{ast.unparse(one).splitlines()[0]}`" for one in (first, then))
            yield f"{lines} are exchanged", lambda n, i=index: (exchange(n.body, i, i + 1), n)[1]
