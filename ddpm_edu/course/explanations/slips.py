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
from types import FunctionType
from typing import Any

from ddpm_edu.course.explanations.changed_trees import Changed, code_of
from ddpm_edu.course.explanations.changes import changes, in_all_places
from ddpm_edu.course.explanations.insertions import insertions
from ddpm_edu.course.explanations.options import without_options

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


def slips_everywhere(function: Function) -> Iterator[Slip]:
    """The function with the same small change in all places of a line, or of the whole."""
    yield from _with(in_all_places, function)


def insertions_into(function: Function) -> Iterator[Slip]:
    """The function with one thing put in."""
    yield from _with(insertions, function)


def _with(change: Callable[[ast.FunctionDef], Iterator[Changed]], function: Function) -> Iterator[Slip]:
    """The function itself changed, then each helper of its module that it calls."""
    helpers = _helpers(function)
    for one in (function, *helpers):
        tree = _source_of(one)
        if tree is not None and one is function:
            tree = without_options(tree)
        for what, changed in change(tree) if tree is not None else ():
            made = _compiled(changed, function, helpers)
            if made is not None:
                yield Slip(what, made)


def pairs_of_slips(function: Function) -> Iterator[Slip]:
    """The function with two of the more common changes, in two places."""
    tree, helpers = _source_of(function), _helpers(function)
    if tree is None:
        return
    tree = without_options(tree)
    for first, changed in changes(tree, common=True):
        for second, twice in changes(changed, common=True):
            made = _compiled(twice, function, helpers)
            if made is not None:
                yield Slip(lambda first=first, second=second: f"{first()}, and {second()}", made)


@cache
def _helpers(function: Function) -> tuple[Function, ...]:
    """The functions of the same module that a right function calls, and those that they call."""
    found: dict[str, Function] = {}
    waiting = [function]
    while waiting:
        names = getattr(waiting.pop(), "__code__", None)
        for name in names.co_names if names is not None else ():
            other = function.__globals__.get(name)
            if inspect.isfunction(other) and other.__module__ == function.__module__ and name not in found:
                found[name] = other
                waiting.append(other)
    return tuple(other for other in found.values() if other is not function and not other.__closure__)


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


def _compiled(tree: ast.FunctionDef, function: Function, helpers: tuple[Function, ...]) -> Function | None:
    """The function in a module of its own, with the changed definition of it, or of a helper."""
    namespace = dict(function.__globals__)
    for one in (function, *helpers):
        again = FunctionType(one.__code__, namespace, one.__name__, one.__defaults__)
        again.__kwdefaults__ = one.__kwdefaults__
        namespace[one.__name__] = again
    try:
        exec(code_of(tree, "<a right solution with a slip>"), namespace)
    except (SyntaxError, ValueError, TypeError):
        return None
    return namespace[function.__name__]
