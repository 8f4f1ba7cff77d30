"""A right function with a slip in it: its source, changed in one place after the other.

Where a student's answers are those of such a function, the slip is named. What changes: an operator, the
order of two operands, a term that is left out, a root, an index by one, an axis, a name, a line.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ddpm_edu.course.changes import Changed, changes
from ddpm_edu.course.insertions import insertions

Function = Callable[..., Any]


@dataclass(frozen=True)
class Slip:
    """One change, or two.

    Attributes:
        what: says which, to follow "in which".
        function: the right function, changed.
    """

    what: Callable[[], str]
    function: Function


def small_slips(function: Function) -> Iterator[Slip]:
    """The function with one thing left out, exchanged or taken for another, for every place and change.

    There are none where its source is not to be had.
    """
    yield from _with(changes, function)


def insertions_into(function: Function) -> Iterator[Slip]:
    """The function with one thing put in."""
    yield from _with(insertions, function)


def _with(change: Callable[[ast.FunctionDef], Iterator[Changed]], function: Function) -> Iterator[Slip]:
    tree = _source_of(function)
    for what, changed in change(tree) if tree is not None else ():
        made = _compiled(changed, function)
        if made is not None:
            yield Slip(what, made)


def pairs_of_slips(function: Function) -> Iterator[Slip]:
    """The function with two of the more common changes, in two places."""
    tree = _source_of(function)
    if tree is None:
        return
    for first, changed in changes(tree, common=True):
        for second, twice in changes(changed, common=True):
            made = _compiled(twice, function)
            if made is not None:
                yield Slip(lambda first=first, second=second: f"{first()}, and {second()}", made)


@cache
def _source_of(function: Function) -> ast.FunctionDef | None:
    """The function's definition, without its docstring; None for what is no plain function of a module."""
    if not inspect.isfunction(function) or function.__closure__:
        return None
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return None
    node = module.body[0]
    if not isinstance(node, ast.FunctionDef) or node.name != function.__name__:
        return None
    node.decorator_list, node.returns = [], None
    for argument in ast.walk(node.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:]
    return node


def _compiled(tree: ast.FunctionDef, function: Function) -> Function | None:
    module = ast.fix_missing_locations(ast.Module(body=[tree], type_ignores=[]))
    namespace = dict(function.__globals__)
    try:
        exec(compile(module, "<a right solution with a slip>", "exec"), namespace)
    except (SyntaxError, ValueError, TypeError):
        return None
    return namespace[tree.name]
