"""What a command says about the step that follows it."""

from __future__ import annotations

import sys
from pathlib import Path

from ddpm_edu.text import shell_line


def say_how_it_acts(run_dir: Path) -> None:
    """Prints the command that lets a trained policy act, as a shell reads it."""
    print(f"watch it act: {shell_line([Path(sys.argv[0]).name, 'rollout', run_dir])}")
