"""What a command says about the step that follows it."""

from __future__ import annotations

import sys
from pathlib import Path

from ddpm_edu.text import shell_line


def say_how_it_acts(policy: Path) -> None:
    """Prints the command that lets a run or a checkpoint act, as a shell reads it."""
    print(f"watch it act: {shell_line([Path(sys.argv[0]).name, 'rollout', policy])}")
