"""A student's notebook with a wrong answer to every exercise runs to its end.

`python tests/wrong_notebooks.py` runs all twenty so; here two of the quickest.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from wrong_notebooks import answered_wrongly

from ddpm_edu.course.build import read_course
from ddpm_edu.paths import REPOSITORY, course_notebooks


@pytest.mark.slow
@pytest.mark.parametrize("number", ["01", "02"])
def test_wrong_answers_stop_no_other_cell(number: str) -> None:
    [path] = [path for path in course_notebooks() if path.name.startswith(number)]
    command = [sys.executable, str(REPOSITORY / "tests" / "wrong_notebooks.py"), str(path), "0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r": (\d+) of \1 answers refused", run.stdout), run.stdout


def test_every_exercise_has_a_wrong_answer_for_the_notebook() -> None:
    for source in read_course(course_notebooks()):
        notebook = answered_wrongly(source)
        for exercise in source.exercises:
            assert "NotImplementedError" not in notebook.cells[exercise.solution_at].source
