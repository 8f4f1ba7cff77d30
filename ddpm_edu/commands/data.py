"""`ddpm-edu data …`: a look into a file of demonstrations."""

from __future__ import annotations

from pathlib import Path

import tyro


def inspect(path: tyro.conf.Positional[Path]) -> None:
    """Say what a robomimic HDF5 file holds: tasks, lengths, masks, keys and their ranges.

    Args:
        path: the file.
    """
    from ddpm_edu.data.inspection import inspect as inspect_file

    print(inspect_file(path))
