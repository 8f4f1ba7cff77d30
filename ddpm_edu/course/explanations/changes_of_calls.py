"""The changes that `slips` makes in a call: left out, another in its place, other arguments."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

Change = tuple[str, Callable[[ast.AST], ast.AST | None]]

_LEFT_OUT = {
    "sqrt": "a square root is left out",
    "square": "a square is left out",
    "abs": "the absolute value is left out",
    "clamp": "nothing is limited (clamp)",
    "float": "`.float()` is left out",
    "round": "nothing is rounded",
    "ceil": "nothing is rounded up",
    "floor": "nothing is rounded down",
    "softmax": "the softmax is left out",
    "mish": "the Mish is left out",
    "normalize": "nothing is scaled to length 1",
    "permute": "axes are not turned",
    "transpose": "axes are not turned",
    "flip": "nothing is turned round",
    "reversed": "the order is not turned round",
    "exp": "the exponential is left out",
    "diff": "no differences are taken",
    "cumsum": "nothing is summed up",
    "cumprod": "nothing is multiplied up",
    "mean": "the mean is left out",
    "sum": "the sum is left out",
    "tril": "nothing is cut off (tril)",
    "masked_fill": "the mask is left out",
    "flatten": "the axes are not joined",
    "min": "the upper limit is left out",
    "max": "the lower limit is left out",
    "len": "a length is not taken",
    "sin": "the sine is left out",
    "cos": "the cosine is left out",
    "lerp": "nothing is mixed",
    "any": "`any` is left out",
    "norm": "the length is not taken",
    "reshape": "the axes are not given",
    "expand_as": "nothing is stretched",
    "clone": "no copy is made",
}
_INSTEAD: dict[str, tuple[str, ...]] = {
    "sqrt": ("square", "abs"),
    "square": ("abs", "sqrt"),
    "cumprod": ("cumsum",),
    "cumsum": ("cumprod", "sum"),
    "mean": ("sum", "median", "amax", "amin", "std", "var"),
    "sum": ("mean", "prod", "max"),
    "amin": ("amax", "mean"),
    "amax": ("amin", "mean"),
    "min": ("max",),
    "max": ("min",),
    "ceil": ("floor", "round"),
    "floor": ("ceil", "round"),
    "tril": ("triu",),
    "sin": ("cos",),
    "cos": ("sin",),
    "argmin": ("argmax",),
    "argmax": ("argmin",),
    "softmax": ("sigmoid", "log_softmax"),
    "all": ("any",),
    "any": ("all",),
    "ones": ("zeros",),
    "zeros": ("ones",),
    "new_zeros": ("new_ones",),
    "zeros_like": ("ones_like", "randn_like"),
    "mish": ("relu", "silu", "tanh", "gelu", "sigmoid"),
    "gelu": ("relu", "silu", "mish", "tanh", "sigmoid"),
    "exp": ("log", "exp2"),
    "norm": ("sum", "amax"),
    "abs": ("square",),
    "stack": ("cat",),
    "cat": ("stack",),
    "flip": ("clone",),
    "log": ("log2", "log10"),
}


def of_call(node: ast.Call) -> Iterator[Change]:
    method = is_method(node)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _LEFT_OUT and (method or node.args):
        yield _LEFT_OUT[name], lambda n: n.func.value if method else n.args[0]
    if name in ("min", "max") and not method and len(node.args) == 2:
        yield _LEFT_OUT[name], lambda n: n.args[1]
    if method and isinstance(node.func.value, ast.BinOp):
        # (1 - x).sqrt() read as 1 - x.sqrt(), or as 1.sqrt() - x
        yield "a bracket is missing", lambda n: _to_one_side(n, "right")
        yield f"`{name}` goes over the first part only", lambda n: _to_one_side(n, "left")
    if not method and len(node.args) == 1 and isinstance(node.args[0], ast.BinOp):
        # norm(a @ x) read as a @ norm(x)
        for side in ("right", "left"):
            yield f"`{name}` goes over one part only", lambda n, side=side: _into_one_side(n, side)
    if method and isinstance(node.func.value, ast.Call) and isinstance(node.func.value.func, ast.Attribute):
        before = node.func.value.func.attr
        yield f"`{name}` comes before `{before}`, not after", _two_exchanged
    for other in _INSTEAD.get(name, ()):
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        yield (
            f"`{other}` stands where `{name}` belongs",
            lambda n, f=field, o=other: (setattr(n.func, f, o), n)[1],
        )
    for i in range(len(node.args)):
        for j in range(i + 1, len(node.args)):
            yield f"two arguments of `{name}` are exchanged", lambda n, i=i, j=j: _exchanged(n, i, j)
    if name in ("transpose", "permute") and method:
        yield "axes are reshaped, not turned", _reshaped
    if name == "int" and len(node.args) == 1:
        yield (
            "it rounds where it should cut off",
            lambda n: _parsed(f"round(float({ast.unparse(n.args[0])}))"),
        )
    for i, keyword in enumerate(node.keywords):
        yield f"`{keyword.arg}` of `{name}` is left out", lambda n, i=i: (n.keywords.pop(i), n)[1]
    if name == "range" and len(node.args) == 1:
        yield "the loop leaves out the first", lambda n: (n.args.insert(0, ast.Constant(1)), n)[1]
        yield (
            "the loop leaves out the last",
            lambda n: (n.args.__setitem__(0, ast.BinOp(n.args[0], ast.Sub(), ast.Constant(1))), n)[1],
        )
        yield (
            "the loop goes one too far",
            lambda n: (n.args.__setitem__(0, ast.BinOp(n.args[0], ast.Add(), ast.Constant(1))), n)[1],
        )
    if name in ("clamp", "clip") and method and len(node.args) == 2:
        yield "only the upper limit is there", lambda n: _one_limit(n, "max", 1)
        yield "only the lower limit is there", lambda n: _one_limit(n, "min", 0)
    if name in ("where", "clamp") and len(node.args) > 1:
        yield f"an argument of `{name}` is left out", lambda n: (n.args.pop(), n)[1]


def _one_limit(node: ast.Call, keyword: str, place: int) -> ast.Call:
    node.args, node.keywords = [], [ast.keyword(keyword, node.args[place])]
    return node


def _to_one_side(node: ast.Call, side: str) -> ast.AST:
    inside = node.func.value
    node.func.value = getattr(inside, side)
    setattr(inside, side, node)
    return inside


def _into_one_side(node: ast.Call, side: str) -> ast.AST:
    inside = node.args[0]
    node.args[0] = getattr(inside, side)
    setattr(inside, side, node)
    return inside


def is_module(node: ast.AST) -> bool:
    """Whether it is the name of a module: `torch.sqrt` is no method of `torch`."""
    return isinstance(node, ast.Name) and node.id in ("torch", "math", "F", "np")


def is_method(node: ast.AST) -> bool:
    """Whether it calls a method: `x.sqrt()`, not `torch.sqrt(x)`."""
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not is_module(node.func.value)
    )


def _two_exchanged(node: ast.Call) -> ast.AST | None:
    """x.f(...).g(...) as x.g(...).f(...)."""
    inner = node.func.value
    if not is_method(inner):
        return None
    node.func.attr, inner.func.attr = inner.func.attr, node.func.attr
    node.args, inner.args = inner.args, node.args
    node.keywords, inner.keywords = inner.keywords, node.keywords
    return node


def _reshaped(node: ast.Call) -> ast.AST:
    return _parsed(f"({ast.unparse(node.func.value)}).reshape(({ast.unparse(node)}).shape)")


def _parsed(text: str) -> ast.AST:
    return ast.parse(text, mode="eval").body


def _exchanged(node: ast.Call, i: int, j: int) -> ast.Call:
    node.args[i], node.args[j] = node.args[j], node.args[i]
    return node
