"""A right function without the options by which its check makes mistakes of it."""

from __future__ import annotations

import ast
import pickle


def without_options(tree: ast.FunctionDef) -> ast.FunctionDef:
    """The function for the defaults of its last arguments: `a if room else b` is `a` where `room` is True.

    Args:
        tree: stays as it is; arguments that the function assigns anew stay arguments.
    """
    tree = pickle.loads(pickle.dumps(tree))
    first = len(tree.args.args) - len(tree.args.defaults)
    options = {
        argument.arg: default.value
        for argument, default in zip(tree.args.args[first:], tree.args.defaults, strict=True)
        if isinstance(default, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            options.pop(node.id, None)
    kept = [argument for argument in tree.args.args if argument.arg not in options]
    if len(kept) > first:  # what follows an option would lose its default
        return tree
    tree.args.args, tree.args.defaults = kept, []
    tree.body = _Folded(options).block(tree.body)
    return tree


class _Folded(ast.NodeTransformer):
    """Puts values in, and takes the branches that they choose."""

    def __init__(self, options: dict[str, object]) -> None:
        self.options = options

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in body:
            new = self.visit(statement)
            found.extend(new if isinstance(new, list) else [new])
        return found

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self.options[node.id]) if node.id in self.options else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        chosen = _value(node.test)
        return node if chosen is None else node.body if chosen[0] else node.orelse

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        chosen = _value(node.test)
        return node if chosen is None else node.body if chosen[0] else node.orelse

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        one = isinstance(node.right, ast.Constant) and node.right.value == 1
        return node.left if one and isinstance(node.op, ast.Pow | ast.Mult) else node


def _value(test: ast.expr) -> tuple[bool] | None:
    """What a condition of constants comes to; None if names decide."""
    if any(isinstance(node, ast.Name | ast.Call | ast.Attribute) for node in ast.walk(test)):
        return None
    return (bool(eval(compile(ast.fix_missing_locations(ast.Expression(test)), "<option>", "eval"))),)
