"""Freed memory stays with the process, because the next training step asks for the same again.

glibc gives pieces of more than 32 MB back to the system as soon as they are freed, and the system clears each
page of the next ones: 55,000 pages a step of the published UNet and 23,000 of the transformer, 8 and 15 % of
the time.
"""

from __future__ import annotations

import ctypes
import os

from ddpm_edu.machine import memory_bytes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Parameters of `mallopt`, as in glibc's malloc.h."""

LARGEST_KEPT = 2**30
"""Larger single pieces (a data set's pictures) are still given back at once."""
MEMORY_SHARE = 8
"""More than one part in so many of the machine's memory is not kept in one piece."""

OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")
"""Variables by which a user tells glibc the same; then nothing is changed."""


def keep_freed_memory() -> bool:
    """Lets this process keep what it frees, until it ends; returns whether it does now.

    Nothing happens under another C library than glibc (macOS, Windows, Alpine), or where the user has set
    glibc's thresholds.
    """
    chosen = "_threshold" in os.environ.get("GLIBC_TUNABLES", "")
    if chosen or any(name in os.environ for name in OWN_SETTINGS):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - others may have a mallopt that understands other numbers
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):  # Windows has no name for the program itself
        return False
    most = min(memory_bytes() // MEMORY_SHARE, 2**31 - 1)  # a C int
    # glibc before 2.35 refuses so large a threshold, but can be told to keep everything.
    kept = mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) or mallopt(M_MMAP_MAX, 0)
    return bool(kept and mallopt(M_TRIM_THRESHOLD, most))
