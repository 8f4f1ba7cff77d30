"""The machine at hand, and machines that are told of by files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ddpm_edu import machine

BOUND = machine.usable_cores(Path("/nowhere"))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, BOUND),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "20000 100000\n"}, 1),  # a fifth of a core still has to do
        ({"cpu.max": "6400000 100000\n"}, min(BOUND, 64)),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, BOUND),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu.max": "nonsense"}, BOUND),
        ({}, BOUND),
    ],
)
def test_a_container_limits_the_cores(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.usable_cores(tmp_path) == cores


def test_a_system_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert machine.usable_cores(Path("/nowhere")) == os.cpu_count()
    assert machine.memory_bytes() == 0


def test_this_machine() -> None:
    assert 1 <= machine.usable_cores() <= (os.cpu_count() or 1)
    assert machine.memory_bytes() > 2**30
    assert machine.processor()
