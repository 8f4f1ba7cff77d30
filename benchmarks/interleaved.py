"""Timing of two ways to do the same: in turn, so that other load on the machine meets both alike."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable

import torch


def measure(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """(wall, CPU) seconds of every repeat of every way, after one that does not count."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(1 + repeats):
        for name, run in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: values[1:] for name, values in seconds.items()}


def report(title: str, seconds: dict[str, list[tuple[float, float]]]) -> float:
    """Prints one line for two ways, the plain one first; returns the ratio of their CPU times.

    Ratios are medians over pairs measured one after the other. CPU time is what this process was given: on
    a machine with other work on it the steadier measure; wall time is what a user waits.
    """
    plain, fast = seconds.values()
    ratios = [
        statistics.median(a[kind] / b[kind] for a, b in zip(plain, fast, strict=True)) for kind in (0, 1)
    ]
    columns = []
    for values in (plain, fast):
        cpu = sorted(1e3 * value[1] for value in values)
        columns.append(f"{statistics.median(cpu):,.0f} ({cpu[0]:,.0f} to {cpu[-1]:,.0f})")
    print(f"| {title} | {columns[0]} | {columns[1]} | {ratios[1]:.2f}x | {ratios[0]:.2f}x |", flush=True)
    return ratios[1]


def header(repeats: int) -> None:
    """The table's first lines."""
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} thread(s), "
        f"python {platform.python_version()}, torch {torch.__version__}, "
        f"float32; medians of {repeats} pairs (range)"
    )
    print("| what | plain, CPU ms | ours, CPU ms | CPU ratio | wall ratio |")
    print("|---|---:|---:|---:|---:|")
