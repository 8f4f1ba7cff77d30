"""Stopping between two steps instead of inside one."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

from ddpm_edu.errors import ConfigError

if TYPE_CHECKING:
    from accelerate import Accelerator

INTERRUPTED, TERMINATED, HUNG_UP = "interrupted", "terminated", "hung up"
_REASONS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
if hasattr(signal, "SIGHUP"):  # not on Windows
    _REASONS[signal.SIGHUP] = HUNG_UP
EXIT_CODES = {reason: 128 + number for number, reason in _REASONS.items()}
"""As a shell tells signals; 0 is for a run that came to its end, or to a time limit that it was given."""


def check_time_limit(max_minutes: float | None) -> None:
    """Refuses what is no time to work for.

    Raises:
        ConfigError: if it is not above 0, or without end.
    """
    if max_minutes is not None and not 0 < max_minutes < float("inf"):
        raise ConfigError(f"max_minutes is {max_minutes}; it must be above 0")


class StopRequest:
    """Notes Ctrl-C, SIGTERM, SIGHUP (a closed terminal) and a time limit; training asks between its steps.

    After any of these signals a Ctrl-C interrupts at once, and nothing more is saved; SIGTERM and SIGHUP,
    which machines send more than once, change nothing more. Under nohup a closed terminal stays unnoticed.

    Args:
        max_minutes: the time limit, or None.
        accelerator: of several processes; when one is asked to stop, all do at the same step.

    Raises:
        ConfigError: if the time limit is not above 0, or without end.
    """

    def __init__(self, max_minutes: float | None = None, accelerator: Accelerator | None = None):
        check_time_limit(max_minutes)
        self.reason: str | None = None
        self._accelerator = accelerator
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._max_minutes = max_minutes
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in _REASONS:
            if _REASONS[number] == HUNG_UP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            try:
                self._previous[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread: a notebook's own handling stays in charge
                break
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.reason not in EXIT_CODES:
            self.reason = _REASONS[number]
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    def __call__(self) -> bool:
        """Whether to stop now."""
        if self.reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = f"reached --max-minutes {round(self._max_minutes, 2):g}"
        self.agree()
        return self.reason is not None

    def agree(self) -> None:
        """Lets all processes have the same reason: one that stopped alone would leave the others waiting."""
        accelerator = self._accelerator
        if accelerator is None or accelerator.num_processes == 1:
            return
        import torch
        from accelerate.utils import gather_object

        asked = torch.tensor(float(self.reason is not None), device=accelerator.device)
        if accelerator.reduce(asked, reduction="sum") > 0:
            self.reason = next(reason for reason in gather_object([self.reason]) if reason)
