"""The commands on a result card: what makes its demonstrations and its run anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddpm_edu.config import Config, PolicyConfig
from ddpm_edu.data.made_from import made_from
from ddpm_edu.presets import PRESETS, preset
from ddpm_edu.settings import differences, to_dict
from ddpm_edu.simulation.collect import COLLECTION
from ddpm_edu.simulation.episodes import Disturbance
from ddpm_edu.simulation.render_file import RENDERING
from ddpm_edu.text import shell_line


def training_command(
    config: Config, run_dir: str, said: str | None = None, begun: Mapping[str, str] | None = None
) -> str:
    """The `ddpm-edu train` command that makes this configuration: a preset and what differs from it.

    Args:
        config: of the run.
        run_dir: its folder in the command.
        said: the command, without its folder, of a run that another one has made, which has said which.
        begun: the checkpoint whose weights the run began with, as
            `ddpm_edu.training.checkpoint.origin` tells.
    """
    if said:
        return f"{said} {shell_line(['--run-dir', run_dir])}"
    policy = config.policy
    choice = {name: getattr(policy, name) for name in ("task", "conditioning", "observation")}
    choice |= {"denoiser": policy.denoiser.name}
    defaults = {"task": "can", "denoiser": "unet", "conditioning": "global", "observation": "low_dim"}
    words = []
    for key, value in choice.items():
        if value != defaults[key]:
            words += [f"--{key.replace('_', '-')}", value]
    process = policy.process.name
    if process != PolicyConfig().process.name:
        words += ["--process", process]
    mine = to_dict(config)
    changed = {
        name: differences(to_dict(preset(**choice, name=name, process=process)), mine) for name in PRESETS
    }
    nearest = min(PRESETS, key=lambda name: len(changed[name]))
    if nearest != PRESETS[0]:
        words += ["--preset", nearest]
    for name, _, value in changed[nearest]:
        option = name.rpartition(".")[2].replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *(value if isinstance(value, list) else [value])]
    words += ["--init-from", begun["path"]] if begun else []
    return shell_line(["ddpm-edu", "train", *words, "--run-dir", run_dir])


def demonstrations_command(path: str | None) -> str | None:
    """The `ddpm-edu` command, `collect` or `data render`, that makes a file of demonstrations anew.

    None without a path (the shipped files), and for a file that neither of them made.
    """
    if path is None:
        return None
    try:
        if (rendering := made_from(path, RENDERING)) is not None:
            words = ["data", "render", f"runs/demonstrations/{rendering['source']}"]
            words += ["--n", len(rendering["demonstrations"])]
        elif (settings := made_from(path, COLLECTION)) is not None:
            words = ["collect", *_collecting(settings)]
        else:
            return None
    except (AttributeError, KeyError, TypeError):  # somebody else's attribute of that name
        return None
    return shell_line(["ddpm-edu", *words, "--out", f"runs/demonstrations/{Path(path).name}"])


def _collecting(settings: dict[str, Any]) -> list[Any]:
    """The options of `collect` that are not as by default."""
    defaults = {"task": "can", "n": 200, "observation": "low_dim", "seed": 0}
    words = []
    for key, value in defaults.items():
        if settings[key] != value:
            words += [f"--{key}", settings[key]]
    usual = asdict(Disturbance())
    for key, value in settings["disturbance"].items():
        if value != usual[key]:
            words += [f"--disturbance.{key.replace('_', '-')}", value]
    return words
