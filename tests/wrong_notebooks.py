"""Student notebooks in which every exercise has a plausible wrong answer: they must run to their end.

    python tests/wrong_notebooks.py                          # all, one after the other: about half an hour
    python tests/wrong_notebooks.py notebooks/05_….ipynb     # one
    python tests/wrong_notebooks.py 3                        # the fourth wrong attempt at each exercise

A check that fails is what is wanted; any other cell that raises is named.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from exercise_attempts import Attempt, attempts
from nbclient import NotebookClient
from nbformat import NotebookNode

from ddpm_edu.course.build import Source, read_course, student_notebook
from ddpm_edu.paths import course_notebooks

IMPORTS = "import math\n\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\n\n\n"
_OPEN = re.compile(r"^ +raise NotImplementedError\(.*\)$", flags=re.MULTILINE)


def wrong_attempts(check: str) -> list[Attempt]:
    """The wrong attempts at an exercise that stand by themselves, as a student writes them."""
    return [one for one in attempts(check) if not one.is_right and "RECEDING" not in one.source]


def answered_wrongly(source: Source, which: int = 0) -> NotebookNode:
    """The student's version with a wrong answer in place of every stub.

    Args:
        source: the solved notebook.
        which: which of each exercise's wrong attempts; counted round.

    Raises:
        LookupError: if an exercise has no wrong attempt.
    """
    notebook = student_notebook(source, with_solutions=False)
    for exercise in source.exercises:
        wrong = wrong_attempts(exercise.check)
        if not wrong:
            raise LookupError(f"{exercise.check} has no wrong attempt in tests/course/attempts*.txt")
        body = wrong[which % len(wrong)].source.split("\n", 1)[1].rstrip("\n")
        cell = notebook.cells[exercise.solution_at]
        stub, changed = _OPEN.subn(lambda _, body=body: body, cell.source)
        assert changed == 1, f"{source.path.name}: {exercise.name} has {changed} stubs"
        cell.source = IMPORTS + stub
    return notebook


def stops(notebook: NotebookNode, folder: Path) -> list[str]:
    """Runs all cells; gives what the cells raise that may not: one line each.

    Args:
        notebook: gets its outputs.
        folder: where it runs.
    """
    client = NotebookClient(
        notebook,
        timeout=600,
        startup_timeout=300,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return [
        f"cell {index} ({cell.id}): {output.ename}: {output.evalue[:300]}"
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and "raises-exception" not in cell.metadata.get("tags", [])
        for output in cell.outputs
        if output.output_type == "error"
    ]


def refused(notebook: NotebookNode) -> int:
    """How many checks said that an answer is wrong."""
    return sum(
        output.output_type == "error" and output.ename == "CheckFailed"
        for cell in notebook.cells
        if "check" in cell.metadata.get("tags", [])
        for output in cell.outputs
    )


def main(paths: Sequence[str], which: int = 0) -> int:
    """Prints a line for each notebook; returns how many do not run to their end."""
    os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")
    failed = 0
    for source in read_course([Path(path) for path in paths] or list(course_notebooks())):
        began = time.perf_counter()
        notebook = answered_wrongly(source, which)
        found = stops(notebook, source.path.parent)
        failed += bool(found)
        said = f"{refused(notebook)} of {len(source.exercises)} answers refused"
        print(
            f"{source.path.name}: {said}, {time.perf_counter() - began:.0f} s", *found, sep="\n  ", flush=True
        )
    return failed


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    sys.exit(bool(main([word for word in sys.argv[1:] if not word.isdigit()], *numbers)))
