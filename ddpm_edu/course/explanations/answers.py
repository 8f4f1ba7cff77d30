"""What a student's function may return: numpy, lists and float64 count by their values.

Later cells of a notebook compute with torch tensors, or with plain numbers. So a right answer in another
form passes, and the function hands its answers on in the form that those cells need.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Number = int | float | np.number | np.bool_


def of_equal_shape(answer: Any, right: Any) -> bool:
    """Whether both are tensors, of one shape: then entry stands against entry."""
    return isinstance(answer, Tensor) and isinstance(right, Tensor) and answer.shape == right.shape


def has_axes(value: Any) -> bool:
    """Whether it is a tensor of more than one number."""
    return isinstance(value, Tensor) and value.ndim > 0


def read(answer: Any) -> Any:
    """An answer as tensors: numbers, numpy arrays and lists by their values; a tuple of tensors part by part.

    Anything else stays what it is.
    """
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(answer)).reshape(answer.shape)
    if isinstance(answer, np.generic) and answer.dtype.kind in "biuf":
        return torch.from_numpy(np.asarray(answer))
    if isinstance(answer, bool | int):
        return torch.tensor(
            answer if abs(answer) < 2**63 else math.copysign(math.inf, 1 if answer > 0 else -1)
        )
    if isinstance(answer, float):
        return torch.tensor(answer, dtype=torch.float64)
    if isinstance(answer, list | tuple | range):
        return _joined(answer)
    return answer


def _joined(answer: Sequence[Any]) -> Any:
    parts = [read(part) for part in answer]
    if not parts:
        return torch.zeros(0)
    if not all(isinstance(part, Tensor) for part in parts):
        return answer
    if isinstance(answer, tuple) and any(part.ndim for part in parts):
        return tuple(parts)
    return _stacked(parts, answer)


def _stacked(parts: Sequence[Tensor], otherwise: Any) -> Any:
    """Tensors of one shape as one, numbers of several types as of the widest; masks are no numbers."""
    if len({(part.shape, part.dtype == torch.bool) for part in parts}) != 1:
        return otherwise
    widest = functools.reduce(torch.promote_types, [part.dtype for part in parts])
    return torch.stack([part.to(widest) for part in parts])


def as_wanted(answer: Any, right: Any) -> Any:
    """A tuple of tensors where one tensor is wanted is that tensor's rows, and the other way round."""
    if isinstance(right, tuple) and isinstance(answer, list):
        return tuple(read(part) for part in answer)
    if isinstance(right, tuple) and isinstance(answer, Tensor) and answer.shape[:1] == (len(right),):
        return answer.unbind()
    if isinstance(answer, tuple) and isinstance(right, Tensor):
        return _stacked(answer, answer) if all(isinstance(part, Tensor) for part in answer) else answer
    return answer


def parts_of(answer: Any) -> tuple[Any, ...]:
    """The answers of a function that gives several, or the one."""
    return answer if isinstance(answer, tuple) else (answer,)


def kind_of(value: Tensor) -> str:
    """What the entries are: `bool`, `int` or `float`."""
    if value.dtype == torch.bool:
        return "bool"
    return "float" if value.is_floating_point() else "int"


def wrong_kind(answer: Any, right: Any) -> tuple[str, str] | None:
    """What is wrong with the type of an answer whose values are right, and what to do; None if nothing is."""
    if isinstance(right, tuple):
        found = (wrong_kind(*pair) for pair in zip(answer, right, strict=True))
        return next((one for one in found if one is not None), None)
    given, wanted = kind_of(answer), kind_of(right)
    if given == wanted or (given == "int" and wanted == "float"):
        return None
    if wanted == "bool":
        return (
            f"Your function returns numbers of {answer.dtype}, where a mask of True and False is wanted.",
            "Make it torch.bool, or `~mask` and masked_fill will not work on it.",
        )
    if given == "bool":
        return (
            "Your function returns True and False, where numbers are wanted.",
            "A comparison says yes or no; `.float()`, `.sum()` or `.mean()` makes numbers of it.",
        )
    whole = "a whole number" if right.ndim == 0 else "whole numbers"
    return (
        f"The value is right, but it is a number with a point ({answer.dtype}), and {whole} is wanted."
        if right.ndim == 0
        else f"The values are right, but of {answer.dtype}, and whole numbers are wanted.",
        "It will count or index something: `int(...)`, `//` or `.long()` makes it whole.",
    )


def hand_on(function: Callable[..., Any], answer: Any, example: Any, doubles: bool) -> str:
    """From now on the student's function gives the form that later cells need; says so, if it did not before.

    In the notebook the function's name then stands for one that converts; the student's code stays as it is.
    A function of an imported module is left alone.

    Args:
        function: the student's, whose values are right.
        answer: one of its answers, as it came.
        example: the right answer to the same question, as the right function gives it.
        doubles: whether the question was asked in float64, so that answers may be.
    """
    if not _needs(answer, example, doubles):
        return ""
    original = inspect.unwrap(function)
    namespace = getattr(original, "__globals__", {})
    module = sys.modules.get(namespace.get("__name__", ""))
    is_notebook = module is None or module.__name__ == "__main__" or vars(module) is not namespace
    said = _difference(answer, example, doubles)
    if not is_notebook:
        return f"{said}: convert it."

    @functools.wraps(function)
    def handing_on(*arguments: Any, **named: Any) -> Any:
        return converted(function(*arguments, **named), example, (*arguments, *named.values()))

    names = [name for name, value in namespace.items() if value is function or value is original]
    namespace.update(dict.fromkeys(names, handing_on))
    if not names:
        return f"{said}: convert it."
    return f"{said}: in this notebook it is converted for them from now on."


def _needs(answer: Any, example: Any, doubles: bool) -> bool:
    if isinstance(example, tuple):
        return not isinstance(answer, tuple | list) or any(map(_needs, answer, example, [doubles] * 9))
    if not isinstance(example, Tensor):
        return not isinstance(answer, Number)
    if not isinstance(answer, Tensor):
        return True
    return answer.dtype != example.dtype and not (doubles and answer.dtype == torch.float64)


def converted(answer: Any, example: Any, arguments: Sequence[Any] = ()) -> Any:
    """An answer in the form of the example: a tensor of its dtype, a plain number, or several of them.

    float64 stays where an argument was of float64.
    """
    if isinstance(example, tuple):
        return tuple(converted(part, one, arguments) for part, one in zip(answer, example, strict=True))
    value = as_wanted(read(answer), read(example))
    if not isinstance(value, Tensor):
        return answer
    if not isinstance(example, Tensor):
        return value.item() if value.numel() == 1 else answer
    doubles = any(isinstance(one, Tensor) and one.dtype == torch.float64 for one in arguments)
    return value.to(torch.float64 if doubles and example.is_floating_point() else example.dtype)


def _difference(answer: Any, example: Any, doubles: bool) -> str:
    """What `_needs` has found; of several answers, the first that is of another form."""
    if isinstance(example, tuple) and isinstance(answer, tuple | list):
        part = next(i for i, pair in enumerate(zip(answer, example, strict=True)) if _needs(*pair, doubles))
        which = ("first", "second", "third", "fourth", "fifth")[part]
        said, answer, example = f"Of its answers the {which} is", answer[part], example[part]
    else:
        said = "It returns"
    return f"{said} {_form(answer)}, and later cells compute with {_form(example)}"


def _form(answer: Any) -> str:
    if isinstance(answer, Tensor):
        return f"a tensor of {str(answer.dtype).removeprefix('torch.')}"
    if isinstance(answer, np.ndarray | np.generic):
        return "numpy's numbers"
    if isinstance(answer, tuple) and answer and isinstance(answer[0], Tensor):
        return f"{len(answer)} tensors"
    return f"a plain {type(answer).__name__}"
