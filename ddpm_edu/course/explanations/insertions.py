"""What `slips` puts into a right function: a root, a sign, a mean, a factor, another expression of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from ddpm_edu.course.explanations.changed_trees import Change, Changed, everywhere
from ddpm_edu.course.explanations.changes import names_in

_METHODS = {
    "abs": "the size of `{}` is taken, without sign",
    "square": "`{}` is squared",
    "sqrt": "the root of `{}` is taken",
    "round": "`{}` is rounded",
    "exp": "the exponential of `{}` is taken",
    "sigmoid": "a sigmoid is taken of `{}`",
    "tanh": "`{}` goes through a tanh",
    "clamp(-1, 1)": "`{}` is limited to [-1, 1]",
    "clamp(0, 1)": "`{}` is limited to [0, 1]",
    "flip(0)": "`{}` is turned round",
    "flip(1)": "`{}` is turned round along its second axis",
    "roll(1, 0)": "`{}` is moved on by one",
    "roll(-1, 0)": "`{}` is moved back by one",
    "cumsum(0)": "`{}` is summed up",
    "cumprod(0)": "`{}` is multiplied up",
    "sum(0)": "`{}` is summed over its first axis",
    "sum(1)": "`{}` is summed over its second axis",
    "sum(-1)": "`{}` is summed over its last axis",
    "mean()": "the mean of all `{}` is taken",
    "mean(0)": "the mean of `{}` is taken over its first axis",
    "mean(1)": "the mean of `{}` is taken over its second axis",
    "mean(1, keepdim=True)": "the mean of `{}` over its second axis stands for all",
    "mean(-1)": "the mean of `{}` is taken over its last axis",
    "amax(1)": "the largest of `{}` is taken over its second axis",
}
_FORMS = {
    "-({0})": "`{0}` has the opposite sign",
    "1 - ({0})": "`1 - {0}` stands where `{0}` belongs",
    "1 / ({0})": "`1 / {0}` stands where `{0}` belongs",
    "F.mish({0})": "`{0}` goes through a Mish",
    "(({0}) == ({0}).amax(-1, keepdim=True)).float()": "of each row of `{0}` only the largest counts",
    "({0}) * 0": "0 stands where `{0}` belongs",
    "max({0}, 0)": "`{0}` is limited to 0 and above",
    "max({0}, 1)": "`{0}` is limited to 1 and above",
    "int({0})": "`{0}` is cut off to a whole number",
    "({0})[:1]": "only the first of `{0}` is taken",
    "({0})[0]": "only the first of `{0}` is taken",
    "({0})[-1]": "only the last of `{0}` is taken",
    "({0})[:, :1]": "only the first step of `{0}` is taken",
}
_TOGETHER = {
    "({0}) * ({1})": "`{0}` is multiplied by `{1}`",
    "({0}) / ({1})": "`{0}` is divided by `{1}`",
    "({0}) + ({1})": "`{1}` is added to `{0}`",
    "({0}) - ({1})": "`{1}` is subtracted from `{0}`",
}


def insertions(tree: ast.FunctionDef) -> Iterator[Changed]:
    """The function with something put in, for every expression of it."""
    names, parts = names_in(tree), _parts_of(tree)

    def around(node: ast.AST) -> Iterator[Change]:
        if not _is_value(node):
            return
        text = ast.unparse(node)
        for method, what in _METHODS.items():
            call = method if method.endswith(")") else f"{method}()"
            yield what.format(text), _as(f"({text}).{call}")
        for form, what in _FORMS.items():
            yield what.format(text), _as(form.format(text))

    def together(others: list[str], forms: dict[str, str]) -> Iterator[Changed]:
        def at(node: ast.AST) -> Iterator[Change]:
            if not _is_value(node):
                return
            text = ast.unparse(node)
            for other in others:
                if other == text:
                    continue
                if not isinstance(node, ast.Name) or other not in names:
                    yield f"`{other}` stands where `{text}` belongs", _as(other)
                for form, what in forms.items():
                    yield what.format(text, other), _as(form.format(text, other))

        yield from everywhere(tree, at)

    factor = dict(list(_TOGETHER.items())[:1])
    yield from together(names, factor)
    yield from everywhere(tree, around)
    yield from together(parts, factor)
    yield from together(names, dict(list(_TOGETHER.items())[1:]))


def _is_value(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp | ast.Call | ast.Subscript) or (
        isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and node.id not in ("torch", "math", "F")
    )


def _parts_of(tree: ast.FunctionDef) -> list[str]:
    """The shorter expressions of a function."""
    found = [
        ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.Call | ast.Subscript)
    ]
    return [text for text in dict.fromkeys(found) if len(text) <= 30]


def _as(text: str) -> Callable[[ast.AST], ast.AST]:
    return lambda node: ast.parse(text, mode="eval").body
