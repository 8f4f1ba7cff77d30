"""After `accelerate_training` a process keeps the memory that it frees."""

import os
import platform
import subprocess
import sys

import pytest

from ddpm_edu.cpu import memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

PAGES_CLEARED = """
import resource
import torch
from ddpm_edu.cpu import accelerate_training

def pages_cleared():
    found = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(2**24)  # 64 MiB, freed at once
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(found)

before = pages_cleared()
accelerate_training(torch.nn.Linear(1, 1))
print(before, pages_cleared())
"""


def pages_cleared(**environment):
    """Page faults of asking for 64 MiB again, before and after `accelerate_training`."""
    kept = {name: value for name, value in os.environ.items() if name not in memory.OWN_SETTINGS}
    command = [sys.executable, "-c", PAGES_CLEARED]
    result = subprocess.run(
        command, env={**kept, **environment}, capture_output=True, text=True, check=True, timeout=300
    )
    return [int(word) for word in result.stdout.split()]


@glibc
def test_memory_is_asked_for_once():
    before, after = pages_cleared()
    assert before >= 32  # huge pages, where the system takes them by itself
    assert after <= before // 10


@glibc
def test_what_the_user_has_set_stays():
    before, after = pages_cleared(MALLOC_MMAP_THRESHOLD_="1000000")
    assert before >= 32
    assert after >= before // 2


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(monkeypatch, missing):
    def library(name):
        raise missing

    monkeypatch.setattr(memory.ctypes, "CDLL", library)
    assert not memory.keep_freed_memory()
