"""Result cards: what a trained policy reached and exactly how, one JSON file and one page per policy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddpm_edu.config import Config, override, to_dict
from ddpm_edu.errors import CheckpointError, ConfigError, DatasetError
from ddpm_edu.files import write_atomically
from ddpm_edu.presets import PRESETS, preset
from ddpm_edu.simulation.collect import collection_settings
from ddpm_edu.simulation.episodes import Disturbance
from ddpm_edu.simulation.results import RolloutResult
from ddpm_edu.training.checkpoint import BEST, find_checkpoint, read_checkpoint
from ddpm_edu.training.log import read_log
from ddpm_edu.viz import figures
from ddpm_edu.viz.card_pages import card_page

MAX_VIDEO_BYTES = 1_000_000
_SEES = {"low_dim": "state", "image": "image"}


def make_card(
    run: str | Path,
    rollout: str | Path | None = None,
    best: str | Path | None = None,
    video: str | Path | None = None,
    name: str | None = None,
    out: str | Path = "results",
) -> Path:
    """Write a run's card: `NAME.json`, `NAME.md`, its learning curve and its video.

    Args:
        run: the run's folder, as `ddpm-edu train` left it.
        rollout: folder that `ddpm-edu rollout` wrote for the last checkpoint; by default the run's.
        best: the same for the best checkpoint; without it the card says that it was not rolled out.
        video: an MP4 file; by default that of the rollout or the run.
        name: of the card; by default made from what was trained.
        out: folder of the cards.

    Returns:
        The path of the JSON file.

    Raises:
        CheckpointError: if the run holds no checkpoint.
        DatasetError: if there is no rollout, or it is of another policy than the run's.
        ConfigError: if the run is not finished, has no log, or the video is too large to be kept.
    """
    run, out = Path(run), Path(out)
    checkpoint = read_checkpoint(find_checkpoint(run), training=False)
    config = checkpoint.config
    if checkpoint.step < config.training.steps:
        raise ConfigError(
            f"{run}: the newest checkpoint is of step {checkpoint.step} of {config.training.steps}; "
            "a card is of a finished run: go on with ddpm-edu train"
        )
    log = read_log(run)
    if not any("loss" in entry for entry in log):
        raise ConfigError(f"{run / 'log.jsonl'} holds no loss; a card needs the run's learning curve")
    name = name or card_name(config)
    rollout = _find_rollout(run) if rollout is None else Path(rollout)
    losses = [entry for entry in log if "loss" in entry]
    held_out = [entry["validation_loss"] for entry in log if "validation_loss" in entry]
    demonstrations = config.data.path or f"data/{config.policy.task}_{config.policy.observation}.hdf5"
    collect = collect_command(config.data.path)
    if collect:
        # Where the file lay on this machine helps nobody: the card's commands make it anew, in one place.
        demonstrations = collect.split()[-1]
        config = override(config, data__path=demonstrations)
    card = {
        "name": name,
        "policy": to_dict(config.policy),
        "training": {
            **to_dict(config.training),
            "command": training_command(config, f"runs/{name}"),
            "seconds": losses[-1].get("seconds"),
            "loss": losses[-1]["loss"],
            "validation_loss": held_out[-1] if held_out else None,
            "demonstrations": demonstrations,
            "collect": collect,
            **{
                key: checkpoint.about.get(key) for key in ("device", "threads", "torch", "python", "ddpm_edu")
            },
        },
        "last": _evaluation(rollout, config, checkpoint.step, f"step_{checkpoint.step:08d}", run, name),
        "best": _best(run, best, config, name),
    }
    out.mkdir(parents=True, exist_ok=True)
    with write_atomically(out / f"{name}.png") as file:
        figures.learning_curve(log).savefig(file, format="png", dpi=110)
    card["video"] = _keep_video(video, (rollout, run), out / f"{name}.mp4")
    with write_atomically(out / f"{name}.json") as file:
        file.write((json.dumps(card, indent=1) + "\n").encode())
    with write_atomically(out / f"{name}.md") as file:
        file.write(card_page(card).encode())
    return out / f"{name}.json"


def read_cards(folder: str | Path) -> list[dict[str, Any]]:
    """The cards of a folder, by name.

    Raises:
        DatasetError: if a file there is not a card.
    """
    cards = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            card["last"]["successes"], card["policy"]["task"], card["training"]["seed"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{path} is not a result card ({error!r}); make it again with: ddpm-edu results card"
            ) from None
        cards.append(card)
    return cards


def card_name(config: Config) -> str:
    """What a card is called: task, senses, network, conditioning, steps and seed."""
    policy, training = config.policy, config.training
    steps = f"{training.steps / 1000:g}k" if training.steps >= 1000 else str(training.steps)
    words = [policy.task, _SEES[policy.observation], policy.denoiser, policy.conditioning, steps]
    return "-".join([*words, f"seed{training.seed}"])


def training_command(config: Config, run_dir: str) -> str:
    """The `ddpm-edu train` command that makes this configuration: a preset and what differs from it."""
    policy = config.policy
    choice = {name: getattr(policy, name) for name in ("task", "denoiser", "conditioning", "observation")}
    defaults = {"task": "can", "denoiser": "unet", "conditioning": "global", "observation": "low_dim"}
    words = [f"--{key.replace('_', '-')} {value}" for key, value in choice.items() if value != defaults[key]]
    other = {"unet": "transformer", "transformer": "unet"}[policy.denoiser]
    mine = to_dict(config)
    del mine["policy"][other]  # the settings of a network that is not there make no difference
    differences = {name: list(_differences(to_dict(preset(**choice, name=name)), mine)) for name in PRESETS}
    nearest = min(PRESETS, key=lambda name: len(differences[name]))
    if nearest != PRESETS[0]:
        words.append(f"--preset {nearest}")
    for key, value in differences[nearest]:
        option = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words.append(f"--{option} {' '.join(map(str, value if isinstance(value, list) else [value]))}")
    return " ".join(["ddpm-edu train", *words, f"--run-dir {run_dir}"])


def collect_command(path: str | None) -> str | None:
    """The `ddpm-edu collect` command that makes a file of demonstrations anew.

    None without a path (the shipped files), and for a file that was not collected by that command.
    """
    settings = None if path is None else collection_settings(path)
    if path is None or settings is None:
        return None
    defaults = {"task": "can", "n": 200, "observation": "low_dim", "seed": 0}
    words = [f"--{key} {settings[key]}" for key, value in defaults.items() if settings[key] != value]
    usual = asdict(Disturbance())
    words += [
        f"--disturbance.{key.replace('_', '-')} {value}"
        for key, value in settings["disturbance"].items()
        if value != usual[key]
    ]
    return " ".join(["ddpm-edu collect", *words, f"--out runs/demonstrations/{Path(path).name}"])


def _differences(base: Mapping[str, Any], mine: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = []
    for key, value in mine.items():
        if isinstance(value, dict):
            found += _differences(base[key], value)
        elif value != base[key]:
            found.append((key, value))
    return found


def _find_rollout(run: Path) -> Path:
    for folder in (run / "rollout", run):
        if (folder / "rollout.json").is_file():
            return folder
    raise DatasetError(
        f"{run} holds no rollout.json; make one with: ddpm-edu rollout {run} --episodes 100, or name its "
        "folder with --rollout"
    )


def _evaluation(folder: Path, config: Config, step: int, wanted: str, run: Path, name: str) -> dict[str, Any]:
    """What a card says about one checkpoint in the simulator."""
    result = RolloutResult.load(folder)
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        played, checkpoint = report["config"]["policy"], str(report["checkpoint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is missing or broken ({error!r}); run ddpm-edu rollout again") from None
    # Another sampler or Ta needs no retraining: everything else must be the policy that this run trained.
    mine = to_dict(config.policy)
    for settings in (mine, trained := json.loads(json.dumps(played))):
        settings.pop("n_action_steps")
        for key in ("scheduler", "num_inference_steps"):
            settings["noise"].pop(key)
    wrong = _differences(trained, mine)
    if wrong or (report["config"]["training"] or {}).get("seed") != config.training.seed:
        what = (
            f"{wrong[0][0]} other than {wrong[0][1]!r}"
            if wrong
            else f"another seed than {config.training.seed}"
        )
        raise DatasetError(f"{path} is of a policy with {what}; name the rollout of {run} with --rollout")
    if Path(checkpoint).name != wanted:
        raise DatasetError(f"{path} is of checkpoint {checkpoint}, and {wanted} is wanted; roll that one out")
    command = report["command"].replace(str(folder), f"runs/{name}/rollout").replace(str(run), f"runs/{name}")
    low, high = result.interval
    return {
        "step": step,
        "command": command,
        "episodes": len(result.episodes),
        "successes": result.successes,
        "interval_95": [round(low, 4), round(high, 4)],
        "first_seed": result.episodes[0].seed,
        # One letter for each episode, by its seed: two policies can be compared start by start.
        "outcomes": "".join("+" if episode.success else "-" for episode in result.episodes),
        "noise_seed": result.noise_seed,
        "n_action_steps": played["n_action_steps"],
        "seconds_to_success": report["seconds_to_success"],
        "scheduler": played["noise"]["scheduler"],
        "num_inference_steps": played["noise"]["num_inference_steps"],
        "seconds_per_call": round(result.seconds_per_call, 4),
        "seconds_per_chunk": round(result.seconds_per_chunk, 5),
        "batch_size": result.batch_size,
        "restarts": result.restarts,
        "parameters": report["parameters"],
        "versions": report["versions"],
        "machine": report["machine"],
        "written": report["written"],
    }


def _best(run: Path, rollout: str | Path | None, config: Config, name: str) -> dict[str, Any] | None:
    """The checkpoint that was best by what the run itself measured; None if it kept none."""
    folder = run / "checkpoints" / BEST
    if not (folder / "policy.json").is_file():
        if rollout is not None:
            raise CheckpointError(f"{folder} holds no checkpoint; this run kept no best one")
        return None
    checkpoint = read_checkpoint(folder, training=False)
    found = {"step": checkpoint.step, "chosen_by": checkpoint.about.get(BEST), "rollout": None}
    if rollout is None and (run / f"rollout-{BEST}" / "rollout.json").is_file():
        rollout = run / f"rollout-{BEST}"
    if rollout is not None:
        found["rollout"] = _evaluation(Path(rollout), config, checkpoint.step, BEST, run, name)
    return found


def _keep_video(video: str | Path | None, places: tuple[Path, ...], target: Path) -> str | None:
    candidates = [Path(video)] if video is not None else [place / "video.mp4" for place in places]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        if video is not None:
            raise ConfigError(f"{video} does not exist; name an MP4 file that ddpm-edu rollout wrote")
        return None
    if found.stat().st_size > MAX_VIDEO_BYTES:
        raise ConfigError(
            f"{found} has {found.stat().st_size:,} bytes, and a card keeps at most {MAX_VIDEO_BYTES:,}; "
            "roll out with fewer --videos"
        )
    if found.resolve() != target.resolve():
        partial = target.with_name(target.name + ".partial")
        shutil.copyfile(found, partial)
        partial.replace(target)
    return target.name
