"""What a run learns from, told by its content: a file may be moved, but not be another one."""

from __future__ import annotations

import hashlib

import numpy as np

from ddpm_edu.data.demonstrations import Demonstrations

_ROWS = 256
"""Steps that are hashed at once: pictures are views, and each block is copied."""


def fingerprint(*parts: Demonstrations) -> str:
    """The SHA-256 of all numbers that were read, as 64 hexadecimal digits.

    Args:
        *parts: such as those for training and those held out, in this order.
    """
    digest = hashlib.sha256()
    for part in parts:
        arrays = {**part.obs, "actions": part.action, "episode_ends": part.episode_ends}
        for name, array in sorted(arrays.items()):
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            for start in range(0, len(array), _ROWS):
                digest.update(np.ascontiguousarray(array[start : start + _ROWS]).data)
    return digest.hexdigest()
