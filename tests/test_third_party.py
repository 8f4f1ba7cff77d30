"""Third-party libraries load quietly, and with what they need in place."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "statement",
    [
        "t.import_robosuite()",
        "t.import_robomimic('robomimic.algo'); t.import_robomimic('robomimic.scripts.playback_dataset')",
    ],
)
def test_imports_say_nothing(statement: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import ddpm_edu.third_party as t; {statement}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("backend", ["egl", "osmesa", "disable"])
def test_the_users_choice_of_renderer_stays(backend: str) -> None:
    program = "import os, ddpm_edu.third_party as t; t.import_mujoco(); print(os.environ['MUJOCO_GL'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"MUJOCO_GL": backend, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == backend
