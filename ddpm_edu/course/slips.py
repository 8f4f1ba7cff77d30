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

from ddpm_edu.course.changes import changes

Function = Callable[..., Any]


@dataclass(frozen=True)
class Slip:
    """One change.

    Attributes:
        what: names it, to follow "as if".
        function: the right function, changed.
    """

    what: str
    function: Function


def slips(function: Function) -> Iterator[Slip]:
    """The function with one change, for every place and change; nothing where its source is not to be had."""
    tree = _source_of(function)
    if tree is None:
        return
    seen = {ast.unparse(tree)}
    for what, changed in changes(tree):
        text = ast.unparse(changed)
        if text in seen:
            continue
        seen.add(text)
        made = _compiled(changed, function)
        if made is not None:
            yield Slip(what, made)


def pairs_of_slips(function: Function) -> Iterator[Slip]:
    """The function with two changes, in two places."""
    tree = _source_of(function)
    if tree is None:
        return
    seen = {ast.unparse(tree)}
    for first, changed in changes(tree):
        for second, twice in changes(changed):
            text = ast.unparse(twice)
            if text in seen:
                continue
            seen.add(text)
            made = _compiled(twice, function)
            if made is not None:
                yield Slip(f"{first}, and {second}", made)


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
