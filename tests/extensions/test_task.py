"""A user's own file adds a task: every command takes it, and the processes that they start know it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddpm_edu import cli
from ddpm_edu.registry import PLUGINS
from ddpm_edu.tasks import TASKS

MODEL = "--down-dims 8 16 --n-groups 4 --diffusion-step-embed-dim 8 --num-inference-steps 2"
SHORT = "--steps 5 --batch-size 4 --warmup-steps 1 --log-every 1"


@pytest.mark.slow
def test_a_single_file_adds_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setenv(PLUGINS, "task_raise")
    monkeypatch.setattr(TASKS, "_items", dict(TASKS))  # as long as the test lasts
    monkeypatch.setattr(TASKS, "_loaded", False)
    data, run, results = tmp_path / "raise.hdf5", tmp_path / "run", tmp_path / "results"
    for command in (
        f"collect --task raise --n 2 --workers 2 --out {data}",
        f"data inspect {data} --contact-sheet {tmp_path / 'sheet.png'}",
        f"train --task raise --path {data} {MODEL} {SHORT} --run-dir {run}",
        f"rollout {run} --episodes 1 --workers 1 --videos 0",
        f"results card {run} --out {results} --readme {tmp_path / 'no-readme.md'}",
    ):
        assert cli.main(command.split()) in (0, None)
    assert "raise.hdf5: 2 demonstrations" in capsys.readouterr().out
    assert "Raise the cube" in (run / "rollout" / "report.html").read_text()
    (page,) = (path for path in results.glob("*.md") if path.name != "README.md")
    card = json.loads(page.with_suffix(".json").read_text())
    assert card["policy"]["task"] == "raise"
    assert card["last"]["episodes"] == 1
    assert "--task raise" in card["training"]["command"]
