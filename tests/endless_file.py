"""An HDF5 file that h5py reads for ever."""

from __future__ import annotations

from pathlib import Path

import h5py


def endless_file(path: Path) -> Path:
    """HDF5's global heap holds the texts of free length; free space of no length in it never ends."""
    with h5py.File(path, "w") as file:
        file.create_dataset("mask/train", data=["demo_0", "demo_1"], dtype=h5py.string_dtype())
        file.create_group("data").attrs["collection"] = "{}"
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    while index := int.from_bytes(content[at : at + 2], "little"):
        assert index < 4
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(content)
    return path
