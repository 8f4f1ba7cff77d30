"""What an exception of a student's function means: which sizes met, and of which axes; which name is missing.

torch says "The size of tensor a (5) must match the size of tensor b (4) at non-singleton dimension 2". A
student asks: which axis is the 5, which the 4?
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from ddpm_edu.course.explanations.calls import Arguments
from ddpm_edu.course.explanations.suspicions import Suspicion

Letters = Mapping[str, Sequence[str]]


def explained(error: BaseException, case: Arguments, letters: Letters) -> Suspicion | None:
    """What happened and where to look; None if the exception's own words are the best there are.

    Args:
        error: what the call raised.
        case: its arguments.
        letters: their axes, as `suspicions.letters_of` reads them.
    """
    text = str(error).splitlines()[0] if str(error) else ""
    for kind, pattern, say in _RULES:
        found = re.search(pattern, text)
        if found and isinstance(error, kind):
            return say(found, lambda size: _whose(int(size), case, letters))
    return None


def _whose(size: int, case: Arguments, letters: Letters) -> str:
    """A size, and which axes of the arguments have it: `5 (B)`."""
    names: dict[str, None] = {}
    for name, value in case.items():
        for axis, length in enumerate(value.shape if isinstance(value, Tensor) else ()):
            if length == size:
                given = letters.get(name, ())
                known = len(given) == value.ndim
                names[given[axis] if known else f"axis {axis} of {name}"] = None
    names.pop(str(size), None)  # an axis of fixed length is called by it
    return f"{size} ({' or '.join(list(names)[:3])})" if names else str(size)


Say = Callable[["re.Match[str]", Callable[[str], str]], Suspicion]


def _of_two_sizes(found: re.Match[str], whose: Callable[[str], str]) -> Suspicion:
    first, second, axis = found.groups()
    return Suspicion(
        f"Two tensors meet that do not fit: along axis {axis} one has {whose(first)} entries, the other "
        f"{whose(second)}.",
        "Axes are matched from the last to the first: `[:, None]` or `reshape(-1, 1, 1)` makes room.",
    )


def _of_join(found: re.Match[str], whose: Callable[[str], str]) -> Suspicion:
    axis, first, second = found.groups()
    return Suspicion(
        f"What is joined along axis {axis} does not fit along another: {whose(first)} entries meet "
        f"{whose(second)}.",
        "Print the shapes just before `cat`. Is it the right axis, and is it the right partner?",
    )


def _of_index(found: re.Match[str], whose: Callable[[str], str]) -> Suspicion:
    index, axis, size = found.groups()
    return Suspicion(
        f"It picks entry {index} of axis {axis}, which has only {whose(size)}.",
        "Indices begin at 0, and `x[:, i]` picks along the second axis: is it the axis that you mean?",
    )


def _of_product(found: re.Match[str], whose: Callable[[str], str]) -> Suspicion:
    rows, columns, inner, other = found.groups()
    return Suspicion(
        f"A matrix product does not fit: {whose(rows)} x {whose(columns)} @ {whose(inner)} x {whose(other)}.",
        "The last axis of the first meets the last but one of the second: `.T` or `.transpose(1, 2)`?",
    )


def _plain(what: str, hint: str) -> Say:
    return lambda found, whose: Suspicion(what.format(*found.groups()), hint)


_RULES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, Say], ...] = (
    (
        RuntimeError,
        r"size of tensor a \((\d+)\) must match .* b \((\d+)\) at non-singleton dimension (\d+)",
        _of_two_sizes,
    ),
    (
        RuntimeError,
        r"must match except in dimension (\d+)\. Expected size (\d+) but got size (\d+)",
        _of_join,
    ),
    (IndexError, r"index (-?\d+) is out of bounds for (?:dimension|axis) (\d+) with size (\d+)", _of_index),
    (RuntimeError, r"shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)", _of_product),
    (
        RuntimeError,
        r"expected input\[.*\] to have (\d+) channels, but got (\d+) channels",
        _plain(
            "A convolution gets {1} channels, where it takes {0}.",
            "Print the shapes before it: what was joined, or kept, at the wrong place?",
        ),
    ),
    (
        RuntimeError,
        r"^(tril|triu): input tensor must have at least 2 dimensions",
        _plain(
            "`{0}` gets a tensor of one axis; it cuts a matrix.",
            "`torch.ones(n, n)` has two axes: rows and columns.",
        ),
    ),
    (
        IndexError,
        r"pop from empty list",
        _plain(
            "It takes more out of a list than was put in.",
            "Count on paper what is appended, and what is popped.",
        ),
    ),
    (
        IndexError,
        r"list (?:index|assignment index) out of range|^index out of range",
        _plain("It picks an entry that a list has not.", "n entries have the indices 0 to n - 1."),
    ),
    (
        IndexError,
        r"too many indices|Dimension out of range|specified .*dims",
        _plain(
            "It asks for an axis that a tensor has not.",
            "Print its shape: a number has no axes, (B,) has one.",
        ),
    ),
    (
        RuntimeError,
        r"input\.dim\(\) = (\d+) is not equal to len\(dims\) = (\d+)",
        _plain(
            "It gives the order of {1} axes for a tensor that has {0}.",
            "Which axis was forgotten: the batch?",
        ),
    ),
    (
        RuntimeError,
        r"value tensor of shape \[(.*)\] cannot be broadcast to indexing result of shape \[(.*)\]",
        _plain(
            "It writes numbers of the shape ({0}) where there is room for ({1}).",
            "What is picked on the left must be picked on the right as well.",
        ),
    ),
    (
        RuntimeError,
        r"stack expects each tensor to be equal size, but got \[(.*)\] at entry 0 and \[(.*)\] at",
        _plain(
            "It stacks tensors of unlike shapes, ({0}) and ({1}).",
            "A slice that goes over the edge gives less than was asked for: where does each begin?",
        ),
    ),
    (
        NameError,
        r"name '(\w+)' is not defined",
        _plain(
            "It reads `{0}`, which is neither an argument nor made before.",
            "Is it spelt as in the first line?",
        ),
    ),
    (
        UnboundLocalError,
        r"variable '(\w+)'",
        _plain(
            "It reads `{0}` before it is made.", "Does it get its first value before the loop, or the `if`?"
        ),
    ),
    (ZeroDivisionError, r"", _plain("It divides by zero.", "Which of the arguments makes it zero?")),
    (
        RuntimeError,
        r"expected (?:m1 and m2|scalar type|.*same dtype)|same dtype",
        _plain(
            "Tensors of two types meet, as float32 and float64, or numbers and a mask.",
            "`.to(x.dtype)` converts.",
        ),
    ),
    (
        RuntimeError,
        r"Subtraction, the `-` operator, with (?:a bool tensor|two bool)",
        _plain(
            "It subtracts a mask, which has no numbers.",
            "`~mask` turns a mask round; `.float()` makes numbers.",
        ),
    ),
    (
        RuntimeError,
        r"could be performed on|can only be .*floating|Input dtype must be",
        _plain("It takes a mean, or the like, of whole numbers or of a mask.", "Make them `.float()` first."),
    ),
    (
        IndexError,
        r"tensors used as indices must be",
        _plain("It picks by numbers with a point.", "Indices are whole: `.long()`, or `//` in place of `/`."),
    ),
    (
        TypeError,
        r"'(\w+)' object cannot be interpreted as an integer|slice indices must be",
        _plain(
            "It counts or cuts with something that is no whole number.",
            "`//` and `int(...)` make whole numbers.",
        ),
    ),
    (
        AttributeError,
        r"'(\w+)' object has no attribute '(\w+)'",
        _plain(
            "It asks for `.{1}` of a {0}, which has none.", "Is it the tensor that you mean? Print its type."
        ),
    ),
    (
        TypeError,
        r"'(\w+)' object is not (\w+)",
        _plain("It uses a {0} as if it were {1}.", "Is a bracket or an index missing, or a name used twice?"),
    ),
    (
        RuntimeError,
        r"shape '(.+)' is invalid for input of size (\d+)",
        _plain(
            "It wants the shape {0} of {1} entries, which are too many or too few.",
            "The product of a shape is the number of entries; -1 stands for what is left.",
        ),
    ),
    (
        RuntimeError,
        r"Only Tensors of floating point|does not require grad",
        _plain(
            "It asks for a gradient of something that has none.",
            "`requires_grad_(True)` comes before the loss.",
        ),
    ),
)
"""Kinds of exceptions with what torch, numpy and Python say, and how it is said here."""
