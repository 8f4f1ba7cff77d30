"""The log of a run: one JSON object per line, and the same numbers for TensorBoard."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ddpm_edu.errors import CheckpointError
from ddpm_edu.files import write_atomically
from ddpm_edu.training.files import JSON_ERRORS, parse_json


class RunLog:
    """Writes what a run measures; a resumed run goes on where its checkpoint was.

    Args:
        run_dir: the run's folder; gets log.jsonl and tensorboard/.
        step: the step of the checkpoint that the run starts from; later entries are of a run that was
            killed before its next checkpoint and will be written again, so they are dropped.
    """

    def __init__(self, run_dir: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.path = run_dir / "log.jsonl"
        kept = [entry for entry in read_log(run_dir) if entry["step"] <= step]
        with write_atomically(self.path) as file:
            file.write("".join(json.dumps(entry) + "\n" for entry in kept).encode())
        self._file = self.path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, **values: float) -> None:
        """Write one entry."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._board.close()


def read_log(run_dir: str | Path) -> list[dict[str, Any]]:
    """The entries of a run's log; a last line that was cut off by a kill is left out.

    Raises:
        CheckpointError: if a line is not one that a run has written, naming it.
    """
    path = Path(run_dir) / "log.jsonl"
    if not path.is_file():
        return []
    *lines, cut = path.read_bytes().split(b"\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(_entry(line))
        except JSON_ERRORS:
            raise CheckpointError(
                f"{path}: line {number} is not an entry of a run's log; remove it, or choose another run"
            ) from None
    with contextlib.suppress(*JSON_ERRORS):
        entries.append(_entry(cut))
    return entries


def _entry(line: bytes) -> dict[str, Any]:
    entry = parse_json(line)
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    if not isinstance(entry.get("step"), int):
        raise ValueError("no step")
    for value in entry.values():
        if not isinstance(value, (int, float)):
            raise ValueError("not a number")
        float(value)  # an integer may be too large for one
    return entry
