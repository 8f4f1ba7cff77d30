"""One change in the student's own function that makes it right: there is the mistake, in their own words.

`slips` puts mistakes into the course's solution. Who went another way is not met by them: so here the way is
the student's, and what is looked for is the change after which all answers are right. It needs the function's
source, which a notebook has.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch

from ddpm_edu.course.explanations.answers import as_wanted
from ddpm_edu.course.explanations.calls import MOMENT, Arguments, Function, attempt
from ddpm_edu.course.explanations.calls_moved import calls_moved
from ddpm_edu.course.explanations.changed_trees import Change, Changed, code_of, everywhere
from ddpm_edu.course.explanations.changes import changes, in_all_places, names_in
from ddpm_edu.course.explanations.changes_of_calls import is_method, is_module
from ddpm_edu.course.explanations.insertions import insertions
from ddpm_edu.course.explanations.refusals import same
from ddpm_edu.course.explanations.suspicions import Suspicion
from ddpm_edu.course.explanations.words_of_repairs import said


def repair(
    function: Function,
    cases: Sequence[Arguments],
    expected: Sequence[Any],
    wrong: Sequence[int],
    tolerance: float,
    seconds: float,
    simple: bool | None = None,
) -> Suspicion | None:
    """Where in the student's function a change makes all answers right, and which.

    Args:
        function: the student's.
        cases: the arguments of the calls.
        expected: the right answers.
        wrong: the calls that it has wrong; they are tried first.
        tolerance: of values.
        seconds: of computing, after which the search is given up.
        simple: whether only a word or a line is exchanged, moved or left out, or only more than that; None
            means both.

    Returns:
        What is wrong there; None if no change was found, or the function's source is not to be had.
    """
    function = inspect.unwrap(function)
    tree = _source_of(function)
    if tree is None:
        return None
    order = [*wrong, *(i for i in range(len(cases)) if i not in wrong)]
    until = time.process_time() + seconds
    first = () if simple is False else _simple(tree)
    then = () if simple is True else _further(tree)
    for _, changed in chain(first, then):
        if time.process_time() > until:
            return None
        other = _compiled(changed, function)
        if other is not None and all(
            same(as_wanted(attempt(other, cases[i], seconds=MOMENT), expected[i]), expected[i], tolerance)
            for i in order
        ):
            return said(tree, changed)
    return None


def _source_of(function: Function) -> ast.FunctionDef | None:
    """A function's definition without its docstring; that of a lambda as a `def` with one line."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return None
    if isinstance(module.body[0], ast.FunctionDef) and module.body[0].name == code.co_name:
        node = module.body[0]
        node.decorator_list, node.returns = [], None
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return node if node.body else None
    names = list(code.co_varnames[: code.co_argcount])
    lambdas = [
        one
        for one in ast.walk(module)
        if isinstance(one, ast.Lambda) and [argument.arg for argument in one.args.args] == names
    ]
    if len(lambdas) != 1:
        return None
    node = ast.parse("def answer(): pass").body[0]
    assert isinstance(node, ast.FunctionDef)
    node.args, node.body = lambdas[0].args, [ast.Return(lambdas[0].body)]
    return node


def _compiled(tree: ast.FunctionDef, function: Function) -> Function | None:
    """The changed definition among the names that the function sees."""
    names: dict[str, Any] = {"torch": torch, "math": math, "F": torch.nn.functional}
    names.update(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # made later than the function
            return None
    try:
        exec(code_of(tree, "<your function, changed>"), names)
    except (SyntaxError, ValueError, TypeError, NameError):
        return None
    return names[tree.name]


_WRAPS = (
    "({0}) + 1", "({0}) - 1", "1 - ({0})", "-({0})", "~({0})", "2 * ({0})", "({0}) / 2", "1 + ({0})",
    "1 / ({0})", "({0}).sqrt()", "({0}) ** 0.5", "({0}) ** 2", "({0}).abs()", "({0}).clamp(-1, 1)",
    "({0}).clamp(min=0)", "max(0, {0})", "min({0}, 1)", "int({0})", "round({0})", "math.ceil({0})",
    "({0}).float()", "({0}).long()", "({0})[:, None]", "({0})[..., None]", "({0})[:, None, None]",
    "({0})[None]", "({0}).transpose(-1, -2)", "({0}).transpose(0, 1)", "({0}).flip(0)", "({0}).flip(-1)",
    "({0}).cumsum(0)", "({0}).cumprod(0)", "({0}).sum()", "({0}).mean()", "({0}).sum(-1)", "({0}).mean(0)",
    "({0}).mean(1)", "({0}).sum(-1, keepdim=True)", "({0}).clone()", "({0}).softmax(-1)",
    "F.normalize({0}, dim=-1)", "F.mish({0})", "({0}).flatten(1)", "({0})[:1]", "({0})[1:]", "({0})[:-1]",
    "({0})[:, 1:]", "({0})[:, :-1]",
)  # fmt: skip
"""What may be missing around an expression, and is in none of the lists by which slips are made."""


def _simple(tree: ast.FunctionDef) -> Iterator[Changed]:
    """The likelier first: lines moved, something left out or exchanged."""
    names = names_in(tree)
    return chain(
        everywhere(tree, _of_lines),
        everywhere(tree, _of_fill),
        changes(tree),
        everywhere(tree, lambda node: _of_name(node, names)),
        everywhere(tree, _collapsed),
    )


def _further(tree: ast.FunctionDef) -> Iterator[Changed]:
    """Something moved or missing, or wrong in several places."""
    return chain(
        in_all_places(tree),
        calls_moved(tree),
        everywhere(tree, _wrapped),
        everywhere(tree, _wrapped_anew),
        insertions(tree),
    )


def _wrapped(node: ast.AST) -> Iterator[Change]:
    value = isinstance(node, ast.BinOp | ast.Call | ast.Subscript | ast.Attribute | ast.UnaryOp | ast.Compare)
    if not value and not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)):
        return
    if is_module(node) or ast.unparse(node) == "torch.nn.functional":
        return
    for form in _WRAPS:
        yield form, lambda node, form=form: ast.parse(form.format(ast.unparse(node)), mode="eval").body


def _wrapped_anew(node: ast.AST) -> Iterator[Change]:
    """What stands around an expression, exchanged for another: a sign for a limit, a quotient for a root."""
    if is_method(node):
        inside = [node.func.value]
    elif isinstance(node, ast.BinOp):
        inside = [node.left, node.right]
    elif isinstance(node, ast.Call) and node.args:
        inside = node.args[:1]
    else:
        return
    for part in inside:
        for form in ("({0})", *_WRAPS):
            new = form.format(ast.unparse(part))
            yield form, lambda node, new=new: ast.parse(new, mode="eval").body


def _of_fill(node: ast.AST) -> Iterator[Change]:
    """What is masked before a softmax is masked by -inf."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("masked_fill", "where"):
        for i, argument in enumerate(node.args):
            if isinstance(argument, ast.Constant | ast.UnaryOp) and not _is_mask(argument):
                yield "fill", lambda n, i=i: (n.args.__setitem__(i, _infinity()), n)[1]


def _is_mask(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert)


def _infinity() -> ast.AST:
    return ast.parse("-float('inf')", mode="eval").body


_FAMILIES = (
    ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits"),
    ("mish", "silu", "relu", "gelu", "elu", "tanh", "sigmoid", "softplus"),
    ("mean", "sum", "median", "amax", "amin", "max", "min", "prod", "std", "var", "norm"),
    ("cumsum", "cumprod", "sum", "prod"),
    ("floor", "ceil", "round", "trunc", "int"),
    ("sin", "cos", "tan"),
    ("argmin", "argmax"),
    ("softmax", "log_softmax", "sigmoid", "normalize"),
    ("sqrt", "square", "abs", "exp", "log", "reciprocal"),
    ("tril", "triu"),
    ("ones", "zeros", "ones_like", "zeros_like", "new_ones", "new_zeros", "empty_like", "randn_like"),
    ("stack", "cat", "hstack", "vstack"),
    ("repeat", "repeat_interleave", "expand", "tile"),
    ("any", "all"),
    ("minimum", "maximum"),
    ("Adam", "AdamW", "SGD"),
    ("cross", "cross_of"),
)


def _of_name(node: ast.AST, names: list[str]) -> Iterator[Change]:
    """Another function of the same kind, another operator, another number of an axis, a length kept."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        name = getattr(node.func, field)
        for family in _FAMILIES:
            for other in family if name in family else ():
                if other != name:
                    yield other, lambda n, f=field, o=other: (setattr(n.func, f, o), n)[1]
        both = node.args[0].elts if name == "cat" and node.args and isinstance(node.args[0], ast.List) else ()
        if len(both) == 2:
            yield "added", lambda n: ast.BinOp(n.args[0].elts[0], ast.Add(), n.args[0].elts[1])
        if not any(keyword.arg == "keepdim" for keyword in node.keywords):
            keep = ast.keyword("keepdim", ast.Constant(True))
            yield "keepdim", lambda n, keep=keep: (n.keywords.append(keep), n)[1]
        if name in ("std", "var") and not any(one.arg in ("correction", "unbiased") for one in node.keywords):
            plain = ast.keyword("correction", ast.Constant(0))
            yield "correction", lambda n, plain=plain: (n.keywords.append(plain), n)[1]
        if name == "range" and len(node.args) in (1, 2):
            yield "reversed", lambda n: ast.parse(f"reversed({ast.unparse(n)})", mode="eval").body
    elif isinstance(node, ast.BinOp) and not any(_is_one(side) for side in (node.left, node.right)):
        for operator in (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.MatMult):
            if not isinstance(node.op, operator):
                yield "operator", lambda n, o=operator: (setattr(n, "op", o()), n)[1]
        if isinstance(node.op, ast.BitOr | ast.BitAnd):
            yield "equal", lambda n: ast.Compare(n.left, [ast.Eq()], [n.right])
        for axis in (0, 1, -1) if isinstance(node.op, ast.Add) else ():
            both = f"torch.cat([{ast.unparse(node.left)}, {ast.unparse(node.right)}], {axis})"
            yield "joined", lambda _, both=both: ast.parse(both, mode="eval").body
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for other in (-2, -1, 0, 1, 2, 3, 0.5, 1.0, 0.0):
            yield "number", lambda n, o=other: (setattr(n, "value", o), n)[1] if o != n.value else None
        for name in names:
            yield "name", lambda n, name=name: ast.Name(name, ast.Load())
    elif isinstance(node, ast.List) and isinstance(node.ctx, ast.Load):
        for name in names:
            yield "repeated", lambda n, name=name: ast.BinOp(n, ast.Mult(), ast.Name(name, ast.Load()))
    elif isinstance(node, ast.Slice) and (node.lower is None or node.upper is None):
        for field in ("lower", "upper"):
            for value in ("1", "-1", *names):
                if getattr(node, field) is None:
                    new = ast.parse(value, mode="eval").body
                    yield "slice", lambda n, f=field, new=new: (setattr(n, f, new), n)[1]


def _collapsed(node: ast.AST) -> Iterator[Change]:
    """A name in place of all that is made of it, or a number."""
    if isinstance(node, ast.BinOp | ast.Call):
        inside = [one for one in ast.walk(node) if isinstance(one, ast.Name) and not is_module(one)]
        for name in dict.fromkeys(one.id for one in inside):
            yield name, lambda _, name=name: ast.Name(name, ast.Load())
        for number in (1, 0, -1):
            yield "number", lambda _, number=number: ast.Constant(number)


def _is_one(node: ast.AST) -> bool:
    """Whether multiplying by it changes nothing: then another operator only hides a term."""
    return isinstance(node, ast.Constant) and node.value == 1


_LOOPS = (ast.For, ast.While)


def _of_lines(node: ast.AST) -> Iterator[Change]:
    """A line into the loop before it or out of it, two lines exchanged, one line left out."""
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return
    for i, statement in enumerate(body):
        inside = getattr(statement, "body", None)
        if isinstance(inside, list) and len(inside) > 1:
            yield "out", lambda n, i=i: (n.body.insert(i + 1, n.body[i].body.pop()), n)[1]
        if isinstance(inside, list) and i + 1 < len(body):
            yield (
                "in",
                lambda n, i=i: (
                    (n.body[i].body.append(n.body.pop(i + 1)), n)[1] if len(n.body) > i + 2 else None
                ),
            )
        if isinstance(statement, ast.Assign) and i + 1 < len(body) and isinstance(body[i + 1], _LOOPS):
            yield "in front", lambda n, i=i: (n.body[i + 1].body.insert(0, n.body.pop(i)), n)[1]
        if isinstance(inside, list) and len(inside) > 1 and isinstance(statement, _LOOPS):
            yield "before", lambda n, i=i: (n.body.insert(i, n.body[i].body.pop(0)), n)[1]
        if i + 1 < len(body) and not isinstance(body[i + 1], ast.Return):
            yield "order", lambda n, i=i: (n.body.__setitem__(slice(i, i + 2), n.body[i : i + 2][::-1]), n)[1]
        if len(body) > 1 and not isinstance(statement, ast.Return):
            yield "line", lambda n, i=i: (n.body.pop(i), n)[1]
