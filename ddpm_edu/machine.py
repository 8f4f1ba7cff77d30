"""What this machine is: cores, memory and processor, on Linux, macOS and Windows."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """How many cores this process may keep busy, at least 1.

    The least of what the process is bound to and, in a container, of its share of the machine: Binder and
    many clusters lend one or two of 64 cores, and only the container's limit says so.

    Args:
        cgroup: where Linux shows the limits of a container.
    """
    bound = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(bound(0)) if bound else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError, IndexError):
        quota, period = _quota(cgroup)
        if quota > 0:
            cores = min(cores, max(1, round(quota / period)))
    return cores


def _quota(cgroup: Path) -> tuple[int, int]:
    """Microseconds of processor time in each period, by the second version of cgroups or by the first."""
    if (file := cgroup / "cpu.max").is_file():
        quota, period = file.read_text().split()[:2]
        return int(quota), int(period)  # "max" is no number: there is no limit
    folder = cgroup / "cpu"
    quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return int(quota), int(period)


def memory_bytes() -> int:
    """Bytes of memory that the machine has; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return 0


def container_memory_left(cgroup: Path = _CGROUP) -> int | None:
    """Bytes that a container's limit still leaves; None where there is no limit, or no Linux.

    What files have left in the cache counts as used there, and gives way as soon as memory is wanted.

    Args:
        cgroup: where Linux shows the limits of a container.
    """
    limit, used, prefix = "memory.max", "memory.current", ""
    if not (cgroup / limit).is_file():  # the first version of cgroups
        limit, used, prefix = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
        cgroup = cgroup / "memory"
    try:
        left = int((cgroup / limit).read_text()) - int((cgroup / used).read_text())  # "max": there is none
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        left += sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))
    return max(0, left)


def processor() -> str:
    """The processor's name, as the system tells it."""
    with contextlib.suppress(OSError, StopIteration, IndexError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if platform.system() == "Darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=5
            ).stdout.strip()
    return platform.processor() or platform.machine()
