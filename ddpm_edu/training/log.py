"""The log of a run: one JSON object per line, and the same numbers for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ddpm_edu.files import write_atomically


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
    """The entries of a run's log; a last line that was cut off by a kill is left out."""
    path = Path(run_dir) / "log.jsonl"
    entries = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return entries
