"""How long to wait for another process that gives no sign of life."""

from __future__ import annotations

import contextlib
import os
import threading

from ddpm_edu.errors import ConfigError


def patience() -> float:
    """Seconds without a sign of life after which a process counts as hung.

    A simulator's step takes 0.01 to 0.2, a piece of an HDF5 file about as long.

    Raises:
        ConfigError: if the environment variable DDPM_EDU_PATIENCE is no positive number.
    """
    text = os.environ.get("DDPM_EDU_PATIENCE", "120")
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) <= threading.TIMEOUT_MAX:
            return seconds
    raise ConfigError(f"DDPM_EDU_PATIENCE is {text!r}; a positive number of seconds is wanted")
