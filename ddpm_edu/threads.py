"""Threads that wait for each other let other work have the core."""

from __future__ import annotations

import os

SPINS = "1000"
"""How often libgomp looks whether the other threads are there before it sleeps; by itself 300,000 times.

Each loop of a network ends with such a wait. Where another program holds a core, the thread that spins keeps
its own core from the thread it waits for: a training step takes two to three times as long as it would with
1,000 looks. An idle machine takes 2 to 13 % longer (`benchmarks/threads.py`; docs/speed.md has the table).
"""


def wait_without_spinning() -> bool:
    """Lets OpenMP's threads sleep while they wait; returns whether it was not chosen by the user already.

    libgomp (PyTorch on Linux) reads it once, when torch is loaded. Notebooks load torch first: setup.sh and
    environment.yml say it to them. Other systems' OpenMP takes no notice.
    """
    if any(name in os.environ for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")):
        return False
    os.environ["GOMP_SPINCOUNT"] = SPINS
    return True
