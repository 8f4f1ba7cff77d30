"""Stopping between two steps instead of inside one."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import Accelerator

INTERRUPTED, TERMINATED, HUNG_UP = "interrupted", "terminated", "hung up"
_REASONS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGHUP: HUNG_UP}
EXIT_CODES = {reason: 128 + number for number, reason in _REASONS.items()}
"""As a shell tells signals; 0 is for a run that came to its end, or to a time limit that it was given."""


class StopRequest:
    """Notes Ctrl-C, SIGTERM, SIGHUP (a closed terminal) and a time limit; training asks between its steps.

    A second Ctrl-C interrupts at once. Under nohup a closed terminal stays unnoticed.

    Args:
        max_minutes: the time limit, or None.
        accelerator: of several processes; when one is asked to stop, all do at the same step.
    """

    def __init__(self, max_minutes: float | None = None, accelerator: Accelerator | None = None):
        self.reason: str | None = None
        self._accelerator = accelerator
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._max_minutes = max_minutes
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in _REASONS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
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
        if self.reason is not None:
            raise KeyboardInterrupt
        self.reason = _REASONS[number]

    def __call__(self) -> bool:
        """Whether to stop now."""
        if self.reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = f"reached --max-minutes {round(self._max_minutes, 2):g}"
        if self._accelerator is not None and self._accelerator.num_processes > 1:
            self._agree(self._accelerator)
        return self.reason is not None

    def _agree(self, accelerator: Accelerator) -> None:
        # One that left the loop alone would leave the others waiting for its gradients.
        import torch
        from accelerate.utils import gather_object

        asked = torch.tensor(float(self.reason is not None), device=accelerator.device)
        if accelerator.reduce(asked, reduction="sum") > 0:
            self.reason = next(reason for reason in gather_object([self.reason]) if reason)
