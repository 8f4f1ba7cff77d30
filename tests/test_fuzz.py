"""Damaged files, given to the commands that read them; benchmarks/fuzz.py has the long form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from endless_file import endless_file

from ddpm_edu.data.inspection import inspect
from ddpm_edu.errors import DatasetError

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
def test_damaged_files_end_soon_with_0_or_one_line() -> None:
    done = subprocess.run(  # a process of its own: it forks, and pytest has threads
        [sys.executable, FUZZ, "--mutants", "120", "--readers"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    for kind in ("hdf5", "run"):
        assert f"{kind}: 120 mutants, 0 failed" in done.stdout


def test_a_file_that_loops_for_ever_is_damaged(tmp_path: Path) -> None:
    path = endless_file(tmp_path / "endless.hdf5")
    with pytest.raises(DatasetError, match="is damaged: it leads in a circle: reading it does not end"):
        inspect(path)
