"""The report of a run: one page that opens anywhere, and the same numbers for machines."""

from __future__ import annotations

import io
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddpm_edu import machine
from ddpm_edu.config import TrainingConfig
from ddpm_edu.errors import ConfigError, DatasetError, SimulatorError
from ddpm_edu.files import write_atomically
from ddpm_edu.reporting.report_page import render_page
from ddpm_edu.settings import to_dict
from ddpm_edu.simulation.replay import choose_episodes, film_episodes
from ddpm_edu.simulation.results import NUMBERS as ROLLOUT
from ddpm_edu.simulation.results import RolloutResult
from ddpm_edu.simulation.rollout import noise_stream
from ddpm_edu.tasks import get_task
from ddpm_edu.text import shell_line
from ddpm_edu.training.log import read_log
from ddpm_edu.viz import figures
from ddpm_edu.viz.denoising import decisive_step, observe, watch_denoising
from ddpm_edu.viz.episode import player, record_episode
from ddpm_edu.viz.video import strip, write_video

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ddpm_edu.policy import DiffusionPolicy

PAGE, NUMBERS, VIDEO = "report.html", "report.json", "video.mp4"
_PICTURES = ("success_rate", "episodes", "learning_curve", "strip", "denoising")
_DECISIONS = 16
"""So many of an episode can be looked at; more would make the page large."""
_PACKAGES = ("ddpm_edu", "torch", "diffusers", "robosuite", "mujoco", "robomimic", "numpy")


def write_report(
    run_dir: str | Path,
    policy: DiffusionPolicy,
    result: RolloutResult,
    *,
    out: str | Path | None = None,
    checkpoint: str | Path | None = None,
    training: TrainingConfig | Mapping[str, Any] | None = None,
    command: str | None = None,
    step: int | None = None,
    videos: int = 4,
    progress: bool = True,
) -> Path:
    """Write `report.html`, `report.json` and the pictures and the video in them.

    Args:
        run_dir: the run's folder; its log gives the learning curve.
        policy: what was rolled out.
        result: how it went.
        out: folder for what is written; by default the run's.
        checkpoint: where the policy is from, for the record.
        training: settings of the training, for the record.
        command: what was typed; by default this process's command line.
        step: the checkpoint's, when training went on after it; the log is read up to there.
        videos: episodes to film, successes and failures; 0 for no video.
        progress: show progress bars on stderr.

    Returns:
        The path of `report.html`. Without a renderer the page has no video, and a line on stderr says so.
    """
    run_dir = Path(run_dir)
    out = run_dir if out is None else Path(out)
    out.mkdir(parents=True, exist_ok=True)
    log = [entry for entry in read_log(run_dir) if step is None or entry["step"] <= step]
    for name in (NUMBERS, PAGE, VIDEO, "strip.png", "denoising.png"):  # of an earlier rollout: never mixed
        (out / name).unlink(missing_ok=True)
    result.save(out)
    numbers = _numbers(policy, result, log, checkpoint, training, command or _command_line())

    pictures: dict[str, bytes] = {}
    pictures["success_rate"] = _png(figures.success_rates({get_task(result.task).title: result}))
    pictures["episodes"] = _png(figures.episode_lengths(result))
    if any("loss" in entry for entry in log):
        pictures["learning_curve"] = _png(figures.learning_curve(log))
    numbers["missing"] = missing = []
    try:
        if videos:
            chosen = choose_episodes(result.episodes, videos)
            recordings = film_episodes(_side_by_side(chosen), result.task, progress=progress)
            write_video(out / VIDEO, recordings)
            pictures["strip"] = _picture(strip(recordings[0]))
    except SimulatorError as error:
        missing.append(f"video: {error}")
    try:
        pictures["denoising"] = _png(_denoising(policy, result))
    except (SimulatorError, ConfigError) as error:  # no simulator, or absolute actions, which it cannot show
        missing.append(f"denoising: {error}")
    looked_over = None
    try:
        looked_over = _player(policy, result) if videos else None
    except (SimulatorError, ConfigError) as error:
        if not missing:  # where the simulator is what is missing, one line says so
            missing.append(f"player: {error}")
    for line in missing:
        print(f"the report goes without its {line}", file=sys.stderr)

    for name, picture in pictures.items():
        with write_atomically(out / f"{name}.png") as file:
            file.write(picture)
    with write_atomically(out / NUMBERS) as file:
        file.write((json.dumps(numbers, indent=1) + "\n").encode())
    video = (out / VIDEO).read_bytes() if (out / VIDEO).is_file() else None
    with write_atomically(out / PAGE) as file:
        file.write(render_page(numbers, pictures, video, looked_over).encode())
    return out / PAGE


def refuse_foreign_report(out: Path) -> None:
    """Refuses a folder in which something that no rollout wrote stands where a report would.

    Raises:
        ConfigError: naming it.
    """
    names = (PAGE, NUMBERS, VIDEO, ROLLOUT, *(f"{name}.png" for name in _PICTURES))
    there = [name for name in names if os.path.lexists(out / name)]
    try:
        if there:
            RolloutResult.load(out)
    except DatasetError:
        raise ConfigError(
            f"{out / there[0]} exists, and it is damaged or no rollout wrote it; give another --out, or "
            "move it away"
        ) from None


def summarize(result: RolloutResult, report: Path | None = None) -> str:
    """What the terminal says at the end: a few lines."""
    lengths = [episode.length for episode in result.episodes if episode.success]
    seconds = sum(lengths) / len(lengths) / get_task(result.task).control_frequency if lengths else None
    lines = [
        str(result),
        f"{'no episode succeeded' if seconds is None else f'a success takes {seconds:.1f} s of robot time'}; "
        f"a decision takes {1000 * result.seconds_per_chunk:.1f} ms, several episodes' at once",
    ]
    if result.restarts:
        lines.append(f"simulators were restarted {result.restarts} times; their episodes were repeated")
    if report is not None:
        lines.append(f"report: {report}")
    return "\n".join(lines)


def _side_by_side(episodes: list) -> list:
    """Successes and failures by turns, so that in two columns each has its own."""
    successes = [episode for episode in episodes if episode.success]
    failures = [episode for episode in episodes if not episode.success]
    if len(successes) != len(failures):
        return episodes
    return [episode for pair in zip(successes, failures, strict=True) for episode in pair]


def _denoising(policy: DiffusionPolicy, result: RolloutResult) -> Figure:
    episode = next((one for one in result.episodes if one.success), result.episodes[0])
    step = decisive_step(episode, policy.n_action_steps)
    obs = observe(episode, policy, step)
    return figures.denoising_trajectory(watch_denoising(policy, obs, actions=episode.actions[:step]))


def _player(policy: DiffusionPolicy, result: RolloutResult) -> str:
    """An episode with the plans of its decisions, played again."""
    episode = next((one for one in result.episodes if one.success), result.episodes[0])
    record = record_episode(
        policy,
        episode.seed,
        most_decisions=_DECISIONS,
        played=episode.actions,
        noise=noise_stream(result.noise_seed, episode.seed),
    )
    return player(record).html()


# --------------------------------------------------------------------------------------------- numbers


def _numbers(
    policy: DiffusionPolicy,
    result: RolloutResult,
    log: list[dict[str, Any]],
    checkpoint: str | Path | None,
    training: TrainingConfig | Mapping[str, Any] | None,
    command: str,
) -> dict[str, Any]:
    low, high = result.interval
    losses = [entry for entry in log if "loss" in entry]
    validation = [entry for entry in log if "validation_loss" in entry]
    lengths = [episode.length for episode in result.episodes if episode.success]
    frequency = get_task(result.task).control_frequency
    return {
        "task": result.task,
        "success_rate": result.success_rate,
        "interval_95": [low, high],
        "episodes": len(result.episodes),
        "successes": result.successes,
        "first_seed": result.episodes[0].seed,
        "noise_seed": result.noise_seed,
        "seconds_to_success": sum(lengths) / len(lengths) / frequency if lengths else None,
        "command": command,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "parameters": sum(parameter.numel() for parameter in policy.parameters()),
        "training": {
            "steps": losses[-1]["step"] if losses else None,
            "seconds": losses[-1].get("seconds") if losses else None,
            "loss": losses[-1]["loss"] if losses else None,
            "validation_loss": validation[-1]["validation_loss"] if validation else None,
        },
        "rollout": {
            "seconds": result.seconds,
            "workers": result.workers,
            "restarts": result.restarts,
            "batch_size": result.batch_size,
            "seconds_per_call": result.seconds_per_call,
            "seconds_per_chunk": result.seconds_per_chunk,
        },
        "config": {
            "policy": to_dict(policy.config),
            "training": to_dict(training) if isinstance(training, TrainingConfig) else dict(training or {}),
        },
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": _machine(policy),
        "written": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _machine(policy: DiffusionPolicy) -> dict[str, Any]:
    import torch

    found = {
        "system": platform.system(),
        "processor": machine.processor(),
        "cores": machine.usable_cores(),
        "memory_gib": round(machine.memory_bytes() / 2**30, 1),
        "device": str(policy.device),
    }
    if policy.device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(policy.device)
    return found


def _command_line() -> str:
    return shell_line([Path(sys.argv[0]).name, *sys.argv[1:]])


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=160)
    return content.getvalue()


def _picture(image: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, format="png", optimize=True)
    return content.getvalue()
