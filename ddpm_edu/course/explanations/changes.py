"""The changes that `slips` makes in a right function: what people get wrong in one place of it."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from ddpm_edu.course.explanations.changed_trees import Change, Changed, everywhere, put
from ddpm_edu.course.explanations.changes_of_blocks import exchange, of_block, of_statement
from ddpm_edu.course.explanations.changes_of_calls import is_method, of_call


def changes(tree: ast.FunctionDef, common: bool = False) -> Iterator[Changed]:
    """The function with one change, for every place in it.

    Args:
        tree: the function.
        common: whether names and numbers, of which there are many, stay as they are.
    """
    names = names_in(tree)
    yield from everywhere(tree, lambda node: _changes_of(node, names, common))


def in_all_places(tree: ast.FunctionDef) -> Iterator[Changed]:
    """The function with one change in every place where it is possible: of a line, and of the whole.

    Who leaves out one root leaves out all of them.
    """
    names, packed = names_in(tree), pickle.dumps(tree)
    lines = {
        id(node): statement
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Assign | ast.Return | ast.AugAssign)
        for node in ast.walk(statement)
    }
    # A 1 in `1 - x` and one in `x[k - 1]` have nothing to do with each other.
    unlike = {
        id(side)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        for side in (node.left, node.right)
        if isinstance(side, ast.Constant) and side.value in (0, 1, 2)
    }
    groups: dict[tuple, dict[int, Callable[[ast.AST], ast.AST | None]]] = {}
    for index, node in enumerate(ast.walk(tree)):
        for what, change in _changes_of(node, names, common=False) if id(node) not in unlike else ():
            kind = (what, node.value if isinstance(node, ast.Constant) else None)
            for place in (lines.get(id(node)), None):
                groups.setdefault((*kind, place), {})[index] = change
    for (what, _, place), at in groups.items():
        alone = place is None and any(at == one for key, one in groups.items() if key[2] is not None)
        if len(at) < 2 or alone:
            continue
        copy = pickle.loads(packed)
        nodes = list(ast.walk(copy))
        try:
            done = all(_change(copy, nodes[index], at[index]) for index in sorted(at, reverse=True))
        except AttributeError:  # two of the places stand one in the other, and the inner is gone
            continue
        if done:
            of_what = f" of `{ast.unparse(place).splitlines()[0]}`" if place is not None else ""
            said = f"{what}, in all {len(at)} places{of_what}"
            yield (lambda said=said: said), copy


def _change(tree: ast.AST, node: ast.AST, change: Callable[[ast.AST], ast.AST | None]) -> bool:
    new = change(node)
    if new is None or new is node:
        return new is not None
    above = [one for one in ast.walk(tree) if any(c is node for c in ast.iter_child_nodes(one))]
    return bool(above) and put(above[0], node, new)


def names_in(tree: ast.FunctionDef) -> list[str]:
    """The names of arguments and variables."""
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return sorted(arguments | stored)


def _changes_of(node: ast.AST, names: list[str], common: bool) -> Iterator[Change]:
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        number = isinstance(node.operand, ast.Constant)
        minus = f"{ast.unparse(node.operand)} stands where {ast.unparse(node)} belongs"
        minus = minus if number else "a minus is left out"
        yield (minus if isinstance(node.op, ast.USub) else "`~` is left out"), lambda n: n.operand
    elif isinstance(node, ast.Compare):
        yield from _of_comparison(node)
    elif isinstance(node, ast.BoolOp):
        yield (
            "`and` and `or` are exchanged",
            _with(op=ast.Or() if isinstance(node.op, ast.And) else ast.And()),
        )
    elif isinstance(node, ast.IfExp):
        yield f"`if {ast.unparse(node.test)}` is not asked", lambda n: n.body
        yield f"`if {ast.unparse(node.test)}` is not asked", lambda n: n.orelse
    elif isinstance(node, ast.Call):
        yield from of_call(node)
    elif (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        if not common:
            yield from _of_number(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "True and False are exchanged", _with(value=not node.value)
    elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield "axes are not turned", lambda n: n.value
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield from _of_index(node)
    elif isinstance(node, ast.Slice):
        yield from _of_slice(node)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and not common:
        for name in names:
            if name != node.id:
                yield f"`{name}` stands where `{node.id}` belongs", _with(id=name)
    if isinstance(node, ast.FunctionDef | ast.For | ast.If | ast.While):
        yield from of_block(node)
    elif isinstance(node, ast.Assign | ast.Return) and not common:
        yield from of_statement(node, names)


def _with(**values: Any) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        for name, value in values.items():
            setattr(node, name, value)
        return node

    return change


_OPERATORS: dict[type[ast.operator], tuple[tuple[type[ast.operator], str], ...]] = {
    ast.Add: ((ast.Sub, "it subtracts where it should add"), (ast.Mult, "it multiplies where it should add")),
    ast.Sub: ((ast.Add, "it adds where it should subtract"),),
    ast.Mult: (
        (ast.Div, "it divides where it should multiply"),
        (ast.Add, "it adds where it should multiply"),
        (ast.Pow, "it takes a power where it should multiply"),
    ),
    ast.Div: (
        (ast.Mult, "it multiplies where it should divide"),
        (ast.FloorDiv, "it divides without rest"),
        (ast.Sub, "it subtracts where it should divide"),
    ),
    ast.FloorDiv: (
        (ast.Div, "it divides without rounding"),
        (ast.Mult, "it multiplies where it should divide"),
        (ast.Mod, "it takes the rest of the division"),
    ),
    ast.Pow: ((ast.Mult, "it multiplies where it should take a power"),),
    ast.Mod: ((ast.FloorDiv, "it divides where it should take the rest"),),
    ast.BitAnd: ((ast.BitOr, "`&` and `|` are exchanged"),),
    ast.BitOr: ((ast.BitAnd, "`&` and `|` are exchanged"),),
    ast.MatMult: ((ast.Mult, "it multiplies entry by entry"),),
}
_NOT_ALIKE = ast.Sub | ast.Div | ast.FloorDiv | ast.Pow | ast.MatMult | ast.Mod


def _of_operation(node: ast.BinOp) -> Iterator[Change]:
    left, right = ast.unparse(node.left), ast.unparse(node.right)
    if isinstance(node.op, ast.Pow):
        yield f"`** {right}` is left out", lambda n: n.left
        if isinstance(node.left, ast.BinOp):
            # (a / b) ** 2 read as a / b ** 2
            for side in ("right", "left"):
                yield f"`** {right}` goes over one part only", lambda n, side=side: _power_of_one(n, side)
    else:
        alone = isinstance(node.op, ast.Sub | ast.Div) and len(left) + len(right) < 40
        what = f"`{right}` stands where `{ast.unparse(node)}` belongs" if alone else f"`{left}` is left out"
        yield what, lambda n: n.right
        yield f"`{right}` is left out", lambda n: n.left
    for other, what in _OPERATORS.get(type(node.op), ()):
        yield what, _with(op=other())
    if isinstance(node.op, _NOT_ALIKE):
        yield "two operands are exchanged", lambda n: ast.BinOp(n.right, n.op, n.left)
    for side in ("left", "right"):
        if isinstance(getattr(node, side), ast.Constant) or _is_power(getattr(node, side)):
            continue  # a power that is left out is said so
        for power, what in ((0.5, "there is a root too many"), (2, "there is a square too many")):
            yield (
                what,
                lambda n, side=side, power=power: (
                    setattr(n, side, ast.BinOp(getattr(n, side), ast.Pow(), ast.Constant(power))),
                    n,
                )[1],
            )
    if isinstance(node.op, ast.Sub):
        yield "a sign is wrong", lambda n: ast.UnaryOp(ast.USub(), n)
    if isinstance(node.op, ast.Mult | ast.Add | ast.Sub) and isinstance(node.right, ast.BinOp):
        # a * (b + c) read as a * b + c
        yield (
            "a bracket is missing",
            lambda n: ast.BinOp(ast.BinOp(n.left, n.op, n.right.left), n.right.op, n.right.right),
        )
    if isinstance(node.op, ast.Div | ast.Mult | ast.FloorDiv) and isinstance(node.left, ast.BinOp):
        # (a - b) / c read as a - b / c
        yield (
            "a bracket is missing",
            lambda n: ast.BinOp(n.left.left, n.left.op, ast.BinOp(n.left.right, n.op, n.right)),
        )
    for side, other in (("left", "right"), ("right", "left")):
        call = getattr(node, side)
        if is_method(call):
            # a * x.clamp(0, 1) read as (a * x).clamp(0, 1)
            yield f"`{call.func.attr}` goes over too much", lambda n, s=side, o=other: _over_all(n, s, o)
        elif _is_power(call):
            # a / b ** 2 read as (a / b) ** 2
            said = f"`** {ast.unparse(call.right)}` goes over too much"
            yield said, lambda n, s=side: _power_of_all(n, s)
        elif isinstance(call, ast.Call) and len(call.args) == 1:
            # a @ norm(x) read as norm(a @ x)
            said = f"`{ast.unparse(call.func)}` goes over too much"
            yield said, lambda n, s=side: _around_all(n, s)
    if isinstance(node.op, ast.Mult | ast.Div) and _is_call_of_sum(node.left):
        # (1 - a).sqrt() * b read as 1 - a.sqrt() * b
        yield "a bracket is missing", _bracket_of_call


def _power_of_one(node: ast.BinOp, side: str) -> ast.AST:
    inside = node.left
    setattr(inside, side, ast.BinOp(getattr(inside, side), ast.Pow(), node.right))
    return inside


def _is_power(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)


def _is_call_of_sum(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.BinOp)
        and not node.args
    )


def _over_all(node: ast.BinOp, side: str, other: str) -> ast.AST:
    call = getattr(node, side)
    whole = ast.BinOp(node.left, node.op, node.right)
    setattr(whole, side, call.func.value)
    call.func.value = whole
    return call


def _power_of_all(node: ast.BinOp, side: str) -> ast.AST:
    power = getattr(node, side)
    setattr(node, side, power.left)
    return ast.BinOp(node, ast.Pow(), power.right)


def _around_all(node: ast.BinOp, side: str) -> ast.AST:
    call = getattr(node, side)
    setattr(node, side, call.args[0])
    call.args[0] = node
    return call


def _bracket_of_call(node: ast.BinOp) -> ast.AST:
    inside = node.left.func.value
    node.left.func.value = inside.right
    return ast.BinOp(inside.left, inside.op, node)


_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt, ast.LtE),
    ast.Eq: (ast.NotEq, ast.GtE),
    ast.NotEq: (ast.Eq,),
}


def _of_comparison(node: ast.Compare) -> Iterator[Change]:
    for other in _COMPARISONS.get(type(node.ops[0]), ()):
        yield "a comparison is another one", _with(ops=[other(), *node.ops[1:]])


def _of_number(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    others = [
        value + 1,
        value - 1,
        -value,
        2 * value,
        value / 2,
        10 * value,
        value / 10,
        100 * value,
        value * value,
    ]
    if isinstance(value, int):
        others = [
            *others[:4],
            *([value // 2] if value % 2 == 0 else []),
            10 * value,
            100 * value,
            -1,
            0,
            1,
            2,
        ]
    for other in dict.fromkeys(others):
        if other != value:
            yield f"{other:g} stands where another number belongs", _with(value=other)


def _of_index(node: ast.Subscript) -> Iterator[Change]:
    index = node.slice
    yield f"nothing is picked from `{ast.unparse(node.value)}`", lambda n: n.value
    if isinstance(index, ast.Tuple):
        for i in range(len(index.elts)):
            for j in range(i + 1, len(index.elts)):
                yield (
                    "an index is on the wrong axis",
                    lambda n, i=i, j=j: (exchange(n.slice.elts, i, j), n)[1],
                )
    elif isinstance(index, ast.Slice):
        colon = ast.Slice()
        yield (
            "the slice is on the wrong axis",
            lambda n: (setattr(n, "slice", ast.Tuple([colon, n.slice], ast.Load())), n)[1],
        )
    elif isinstance(index, ast.Name | ast.BinOp | ast.Attribute):
        for sign, what in ((ast.Add(), "an index is one too high"), (ast.Sub(), "an index is one too low")):
            yield (
                what,
                lambda n, sign=sign: (setattr(n, "slice", ast.BinOp(n.slice, sign, ast.Constant(1))), n)[1],
            )
    elif isinstance(index, ast.List):
        yield "the entries are picked the other way round", lambda n: (n.slice.elts.reverse(), n)[1]
        yield (
            "the entries are picked in another order",
            lambda n: (n.slice.elts.append(n.slice.elts.pop(0)), n)[1],
        )
        yield (
            "the entries are picked in another order",
            lambda n: (n.slice.elts.insert(0, n.slice.elts.pop()), n)[1],
        )


def _of_slice(node: ast.Slice) -> Iterator[Change]:
    if node.lower is not None:
        yield "a slice begins at the first", _with(lower=None)
    if node.upper is not None:
        yield "a slice goes to the end", _with(upper=None)
    for field, where in (("lower", "begins"), ("upper", "ends")):
        if getattr(node, field) is None:
            continue
        for sign, side in ((ast.Add, "late"), (ast.Sub, "early")):
            yield (
                f"a slice {where} one too {side}",
                lambda n, field=field, sign=sign: (
                    setattr(n, field, ast.BinOp(getattr(n, field), sign(), ast.Constant(1))),
                    n,
                )[1],
            )
    if node.lower is None and node.upper is not None:
        # the last so many in place of the first
        yield (
            "a slice takes the last, not the first",
            lambda n: (setattr(n, "lower", ast.UnaryOp(ast.USub(), n.upper)), setattr(n, "upper", None), n)[
                2
            ],
        )
        yield (
            "a slice leaves out what it should take",
            lambda n: (setattr(n, "lower", n.upper), setattr(n, "upper", None), n)[2],
        )
