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


GIB = 2**30
FULL = {"memory.max": 8 * GIB, "memory.current": 8 * GIB - 2**20}
STAT = f"anon {GIB}\nfile {7 * GIB}\ninactive_file {6 * GIB}\nactive_file {GIB}\n"
FIRST_VERSION = {
    "memory/memory.limit_in_bytes": 8 * GIB,
    "memory/memory.usage_in_bytes": 7 * GIB,
    "memory/memory.stat": f"inactive_file 5\ntotal_inactive_file {2 * GIB}\ntotal_active_file {GIB}\n",
}


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, None),
        ({"memory.max": "max\n", "memory.current": GIB}, None),
        (FULL, 2**20),
        ({**FULL, "memory.stat": STAT}, 7 * GIB + 2**20),  # files in the cache give way
        (FIRST_VERSION, 4 * GIB),
    ],
)
def test_a_container_limits_the_memory(tmp_path: Path, files: dict[str, object], left: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(str(content))
    assert machine.container_memory_left(tmp_path) == left


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
