"""A call that stands at the wrong place of a function, and at another in its stead."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ddpm_edu.course.explanations.changed_trees import Change, Changed, everywhere
from ddpm_edu.course.explanations.changes_of_calls import is_method


def calls_moved(tree: ast.FunctionDef) -> Iterator[Changed]:
    """The function with one method's call taken from its place, and put around another expression."""
    for call in sorted({_call_of(node) for node in ast.walk(tree) if _moves(node)}):
        for said, without in everywhere(tree, lambda node, call=call: _without(node, call)):
            for _, moved in everywhere(without, lambda node, call=call: _with(node, call)):
                yield said, moved


def _call_of(node: ast.Call) -> str:
    """What stands behind a method's object: `.clamp(-1, 1)`."""
    bare = ast.unparse(ast.Call(ast.Name("f"), node.args, node.keywords))
    return f".{node.func.attr}{bare[1:]}"


def _moves(node: ast.AST) -> bool:
    return is_method(node) and not isinstance(node.func.value, ast.Name)  # a name's stands where it is made


def _without(node: ast.AST, call: str) -> Iterator[Change]:
    if _moves(node) and _call_of(node) == call:
        yield f"`{call}` stands at the wrong place", lambda n: n.func.value


def _with(node: ast.AST, call: str) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.Call | ast.Subscript) or (
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ):
        text = f"({ast.unparse(node)}){call}"
        yield call, lambda n, text=text: ast.parse(text, mode="eval").body
