"""What the student wrote in an earlier notebook, for one that builds on it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ddpm_edu.course.explanations.answers import read
from ddpm_edu.course.explanations.calls import Function
from ddpm_edu.errors import UserError

_NO_PYTHON = re.compile(r"^[%!].*$", flags=re.MULTILINE)  # as %%time above a solution


def earlier(notebook: str, function: str) -> Function:
    """A function out of the student's own file of another notebook, as it stands there.

    Only the exercises' cells of that notebook are run, with what notebooks import (torch, np, math, F, nn).
    The function's answers come as the check there reads them: numpy, lists and numbers as tensors.

    Args:
        notebook: its name without the ending, such as "05_masked_loss"; looked for beside this notebook, and
            in a folder of its name (nbgrader's) beside this notebook's folder.
        function: the name that the exercise asks for.

    Raises:
        UserError: if the file is not there, cannot be read, or defines no such function.
    """
    path = _file_of(notebook)
    names: dict[str, Any] = {"torch": torch, "np": np, "math": math, "F": F, "nn": nn}
    refused = ""
    for source in _exercises(path):
        try:
            exec(compile(source, str(path), "exec"), names)
        except Exception as error:  # its own check says more
            if f"def {function}(" in source:
                refused = f": its cell raises {type(error).__name__}: {error}"
    if not callable(names.get(function)):
        raise UserError(
            f"{path.name} gives no function {function}{refused}; solve that exercise there, and save it"
        )
    own = names[function]
    return lambda *arguments: read(own(*arguments))


def _file_of(notebook: str) -> Path:
    here = Path.cwd()
    places = [here / f"{notebook}.ipynb", here.parent / notebook / f"{notebook}.ipynb"]
    for path in places:
        if path.is_file():
            return path
    raise UserError(f"{places[0]} is not there; put your file of that notebook beside this one")


def _exercises(path: Path) -> list[str]:
    """The sources of the exercises' cells, in order."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found = ["".join(cell["source"]) for cell in cells if "exercise" in cell["metadata"].get("tags", [])]
        return [_NO_PYTHON.sub("", source) for source in found]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path} is not a notebook that can be read ({error}); save it again") from error
