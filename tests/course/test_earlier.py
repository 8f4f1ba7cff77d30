"""A notebook that builds on others gets the student's own functions out of their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ddpm_edu.course.build import read_course, student_notebook
from ddpm_edu.course.earlier import earlier
from ddpm_edu.course.explanations.calls import is_stub
from ddpm_edu.diffusion.schedule import make_noise_schedule
from ddpm_edu.errors import UserError
from ddpm_edu.paths import course_notebooks

FORWARD = next(path for path in course_notebooks() if path.stem == "04_forward_process")


def write(folder: Path, *sources: str) -> None:
    cells = [
        {"cell_type": "code", "metadata": {"tags": ["exercise"]}, "source": source, "outputs": []}
        for source in sources
    ]
    (folder / "05_mine.ipynb").write_text(json.dumps({"cells": cells}))


def test_a_solved_exercise_is_the_students_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FORWARD.parent)
    table = earlier(FORWARD.stem, "noise_table")("squared_cosine", 100)  # (K, 3)
    torch.testing.assert_close(table[:, 1], make_noise_schedule(100).alpha_bar_float64)


def test_an_open_one_is_still_open_and_lies_in_nbgraders_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / FORWARD.stem
    folder.mkdir()
    notebook = student_notebook(read_course([FORWARD])[0], with_solutions=False)
    (folder / FORWARD.name).write_text(json.dumps(notebook))
    (tmp_path / "18_capstone").mkdir()
    monkeypatch.chdir(tmp_path / "18_capstone")
    with pytest.raises(NotImplementedError) as caught:
        earlier(FORWARD.stem, "noise_table")("linear", 3)
    assert is_stub(caught.value)


def test_what_a_check_accepts_is_read_as_the_check_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "%%time\ndef halves(n):\n    return np.arange(n) / 2", "!ls\ndef half(n): return n / 2")
    monkeypatch.chdir(tmp_path)
    assert earlier("05_mine", "halves")(3).tolist() == [0.0, 0.5, 1.0]
    assert earlier("05_mine", "half")(3) == torch.tensor(1.5)


def test_one_cell_may_use_another_and_a_broken_one_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        "def twice(x):\n    return 2 * x",
        "def broken(:",
        "def four(x):\n    return twice(twice(x))",
    )
    monkeypatch.chdir(tmp_path)
    assert earlier("05_mine", "four")(3) == 12
    with pytest.raises(UserError, match=r"gives no function broken: its cell raises SyntaxError.*solve that"):
        earlier("05_mine", "broken")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not there; put your file"),
        ("{", "is not a notebook"),
        ('{"cells": []}', "no"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    text: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "05_mine.ipynb").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        earlier("05_mine", "four")
    assert "\n" not in str(caught.value)
