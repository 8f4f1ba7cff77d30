"""Damaged files, given to the commands that read them; benchmarks/fuzz.py has the long form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from ddpm_edu.data.inspection import inspect
from ddpm_edu.errors import DatasetError

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
def test_damaged_files_end_soon_with_0_or_one_line() -> None:
    done = subprocess.run(  # a process of its own: it forks, and pytest has threads
        [sys.executable, FUZZ, "hdf5", "--mutants", "60", "--seconds", "60"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "hdf5: 60 mutants, 0 failed" in done.stdout


def test_a_file_that_loops_for_ever_is_damaged(tmp_path: Path) -> None:
    """HDF5's global heap holds the texts of free length; free space of no length in it never ends."""
    path = tmp_path / "endless.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("mask/train", data=["demo_0", "demo_1"], dtype=h5py.string_dtype())
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    while index := int.from_bytes(content[at : at + 2], "little"):
        assert index < 3
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged: it leads in a circle: reading it does not end"):
        inspect(path)
