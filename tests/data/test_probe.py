"""Foreign HDF5 is read by another process first, under limits of time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from endless_file import endless_file

from ddpm_edu import cli
from ddpm_edu.data import probe
from ddpm_edu.errors import DatasetError
from ddpm_edu.paths import shipped_demonstrations


def small_file(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["values"] = [1, 2]
    return path


def test_a_reader_that_hangs_is_ended_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe.check_readable(small_file(tmp_path / "first.hdf5"))
    helper = probe._helper[1]
    monkeypatch.setenv("DDPM_EDU_PATIENCE", "0.5")
    os.kill(helper.pid, signal.SIGSTOP)
    path = small_file(tmp_path / "second.hdf5")
    with pytest.raises(DatasetError, match=r"second\.hdf5 is damaged: it lets its reader wait for 0\.5 s"):
        probe.check_readable(path)
    assert helper.wait(10) == -signal.SIGKILL
    monkeypatch.setenv("DDPM_EDU_PATIENCE", "60")
    probe.check_readable(path)


def test_memory_is_bounded_where_the_system_has_no_limit_for_it(tmp_path: Path) -> None:
    """As on macOS, where RLIMIT_AS does nothing and there is no /proc."""
    path, text = tmp_path / "texts.hdf5", "x" * 4096
    with h5py.File(path, "w") as file:
        for name in "abc":
            file.create_dataset(name, data=[text] * 30_000, dtype=h5py.string_dtype())
    script = (
        "import resource, sys; from ddpm_edu.data import walker;"
        "walker.resource.setrlimit = lambda *limit: None;"
        "walker._START = 2**40;"
        'spare = int(sys.argv[2]); walker._SPARE = spare; print(walker._in_fork("walk", sys.argv[1]))'
    )
    for spare, wanted in ((2**26, "asks for more memory than its size explains"), (2**30, "'clean': True")):
        done = subprocess.run(
            [sys.executable, "-c", script, str(path), str(spare)], capture_output=True, text=True, timeout=120
        )
        assert wanted in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "data inspect {}",
        "data split {}",
        "data render {} --out {}.new",
        "data render {whole} --out {}",
        "collect --task can --n 1 --out {}",
        "train --path {} --run-dir {}.run",
    ],
)
def test_every_command_that_opens_hdf5_says_in_one_line_that_it_does_not_end(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = endless_file(tmp_path / "endless.hdf5")
    content = path.read_bytes()
    words = [
        word.replace("{whole}", str(shipped_demonstrations("can"))).replace("{}", str(path))
        for word in command.split()
    ]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path} ")
    assert said.count("\n") == 1
    assert path.read_bytes() == content
