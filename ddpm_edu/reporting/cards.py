"""Result cards: what a trained policy reached and exactly how, one JSON file and one page per policy."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddpm_edu.config import Config, PolicyConfig
from ddpm_edu.errors import CheckpointError, ConfigError, DatasetError
from ddpm_edu.files import plain_name, write_atomically
from ddpm_edu.reporting.card_commands import demonstrations_command, training_command
from ddpm_edu.reporting.card_pages import USUAL_PROCESS, card_page
from ddpm_edu.settings import differences, from_dict, override, to_dict
from ddpm_edu.simulation.results import RolloutResult
from ddpm_edu.text import shell_line
from ddpm_edu.training.checkpoint import BEST, find_checkpoint, read_checkpoint
from ddpm_edu.training.log import read_log
from ddpm_edu.training.resume import INIT_FROM
from ddpm_edu.viz import figures
from ddpm_edu.viz.video import moving_picture

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
    """Write a run's card: `NAME.json`, `NAME.md`, its learning curve, its video and a moving picture of it.

    The card of the same run and Ta is written anew; that of another run is never replaced.

    Args:
        run: the run's folder, as `ddpm-edu train` left it.
        rollout: folder that `ddpm-edu rollout` wrote for the last checkpoint; by default the run's.
        best: the same for the best checkpoint; without it the card says that it was not rolled out.
        video: an MP4 file; by default that of the rollout.
        name: of the card; by default made from what was trained.
        out: folder of the cards.

    Returns:
        The path of the JSON file.

    Raises:
        CheckpointError: if the run holds no checkpoint.
        DatasetError: if there is no rollout, or it is of another policy than the run's.
        ConfigError: if the run is not finished, has no log, the name is that of another run's card, or the
            video is too large to be kept.
        SimulatorError: if the video cannot be read.
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
    rollout = _find_rollout(run) if rollout is None else Path(rollout)
    played = _played(rollout)[1]
    name = plain_name(name or card_name(config, played["n_action_steps"]))
    losses = [entry for entry in log if "loss" in entry]
    held_out = [entry["validation_loss"] for entry in log if "validation_loss" in entry]
    demonstrations = config.data.path or f"data/{config.policy.task}_{config.policy.observation}.hdf5"
    collect = demonstrations_command(config.data.path)
    if collect:
        # Where the file lay on this machine helps nobody: the card's commands make it anew, in one place.
        demonstrations = shlex.split(collect)[-1]
        config = override(config, data__path=demonstrations)
    begun = checkpoint.about.get(INIT_FROM)
    card = {
        "name": name,
        "policy": to_dict(config.policy),
        "training": {
            **to_dict(config.training),
            "command": training_command(config, f"runs/{name}", checkpoint.about.get("command"), begun),
            **({INIT_FROM: begun} if begun else {}),
            "seconds": losses[-1].get("seconds"),
            "loss": losses[-1]["loss"],
            "validation_loss": held_out[-1] if held_out else None,
            "demonstrations": demonstrations,
            "collect": collect,
            **{
                key: checkpoint.about.get(key) for key in ("device", "threads", "torch", "python", "ddpm_edu")
            },
        },
        "last": _evaluation(
            rollout, config, checkpoint.step, f"step_{checkpoint.step:08d}", run, f"runs/{name}", "rollout"
        ),
        "best": _best(run, best, config, f"runs/{name}"),
    }
    _refuse_another_run(out / f"{name}.json", card)
    pictures = _video(video, rollout)
    card["video"] = f"{name}.mp4" if pictures else None
    curve = io.BytesIO()
    figures.learning_curve(log).savefig(curve, format="png", dpi=110)
    pages = {".json": (json.dumps(card, indent=1) + "\n").encode(), ".md": card_page(card).encode()}
    # All is known to be right before the first file of an older card is replaced.
    for suffix, content in {".png": curve.getvalue(), **pictures, **pages}.items():
        with write_atomically(out / f"{name}{suffix}") as file:
            file.write(content)
    return out / f"{name}.json"


def read_cards(folder: str | Path, pattern: str = "*.json") -> list[dict[str, Any]]:
    """The cards of a folder, by name.

    Raises:
        DatasetError: if a file there is not a card.
    """
    cards = []
    for path in sorted(Path(folder).glob(pattern)):
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            card["last"]["successes"], card["policy"]["task"], card["training"]["seed"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{path} is not a result card ({error!r}); make it again with: ddpm-edu results card"
            ) from None
        cards.append(card)
    return cards


def card_name(config: Config, n_action_steps: int | None = None) -> str:
    """What a card is called: task, senses, network, conditioning, steps, seed, and what is unusual."""
    policy, training = config.policy, config.training
    steps = f"{training.steps / 1000:g}k" if training.steps >= 1000 else str(training.steps)
    process = [] if policy.process.name == USUAL_PROCESS else [policy.process.name]
    words = [
        policy.task,
        _SEES[policy.observation],
        policy.denoiser.name,
        policy.conditioning,
        *process,
        steps,
    ]
    if n_action_steps not in (None, policy.n_action_steps):
        return "-".join([*words, f"seed{training.seed}", f"ta{n_action_steps}"])
    return "-".join([*words, f"seed{training.seed}"])


def _find_rollout(run: Path) -> Path:
    for folder in (run / "rollout", run):
        if (folder / "rollout.json").is_file():
            return folder
    make = shell_line(["ddpm-edu", "rollout", run, "--episodes", 100])
    raise DatasetError(
        f"{run} holds no rollout.json; make one with: {make}, or name its folder with --rollout"
    )


def _refuse_another_run(path: Path, card: Mapping[str, Any]) -> None:
    """Two runs may deserve one name: the second must not take the place of the first's result."""
    if not path.is_file():
        return
    (old,) = read_cards(path.parent, path.name)
    same = all(old["training"].get(key) == card["training"][key] for key in ("seed", "seconds", "loss"))
    if not same or old["last"].get("n_action_steps") != card["last"]["n_action_steps"]:
        raise ConfigError(
            f"{path} is the card of another run; keep both: choose a name with --name, or another folder "
            "with --out"
        )


def _played(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rollout's report, and in it the policy's settings."""
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        played, _, _ = report["config"]["policy"], report["checkpoint"], report["config"]["training"]
        played["n_action_steps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is missing or broken ({error!r}); run ddpm-edu rollout again") from None
    return report, played


def _evaluation(
    folder: Path, config: Config, step: int, wanted: str, run: Path, run_there: str, part: str
) -> dict[str, Any]:
    """What a card says about one checkpoint in the simulator.

    Its command names `run_there`, where the card's other commands put the run, and in it the folder `part`.
    """
    result = RolloutResult.load(folder)
    path = folder / "report.json"
    report, played = _played(folder)
    counted = {"episodes": len(result.episodes), "successes": result.successes}
    counted |= {"first_seed": result.episodes[0].seed, "noise_seed": result.noise_seed}
    if any(report.get(key) != value for key, value in counted.items()):
        raise DatasetError(f"{path} and rollout.json are of two rollouts; run ddpm-edu rollout again")
    checkpoint = str(report["checkpoint"])
    # Another sampler or Ta needs no retraining: everything else must be the policy that this run trained.
    process = config.policy.process
    mine, trained = to_dict(config.policy), to_dict(from_dict(PolicyConfig, played))
    for settings in (mine, trained):
        settings.pop("n_action_steps")
        for key in process.of_sampling:
            settings.get(process.group_name(), {}).pop(key, None)
    wrong = differences(trained, mine)
    if wrong or (report["config"]["training"] or {}).get("seed") != config.training.seed:
        what = (
            f"{wrong[0][0].rpartition('.')[2]} other than {wrong[0][2]!r}"
            if wrong
            else f"another seed than {config.training.seed}"
        )
        raise DatasetError(f"{path} is of a policy with {what}; name the rollout of {run} with --rollout")
    if Path(checkpoint).name != wanted:
        raise DatasetError(f"{path} is of checkpoint {checkpoint}, and {wanted} is wanted; roll that one out")
    places = ((str(folder), f"{run_there}/{part}"), (str(run), run_there))
    try:
        words = shlex.split(report["command"])
    except ValueError:  # an old report, which did not quote
        words = report["command"].split(" ")
    command = shell_line(_moved(word, places) for word in words)
    low, high = result.interval
    sampling = to_dict(from_dict(PolicyConfig, played).process)
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
        "scheduler": sampling[process.sampler_setting],
        "num_inference_steps": sampling["num_inference_steps"],
        "seconds_per_call": round(result.seconds_per_call, 4),
        "seconds_per_chunk": round(result.seconds_per_chunk, 5),
        "batch_size": result.batch_size,
        "restarts": result.restarts,
        "parameters": report["parameters"],
        "versions": report["versions"],
        "machine": report["machine"],
        "written": report["written"],
    }


def _moved(word: str, places: Sequence[tuple[str, str]]) -> str:
    """A word of a command, a path at an old place put at the new one."""
    for old, new in places:
        if word == old or word.startswith(f"{old}/"):
            return new + word[len(old) :]
    return word


def _best(run: Path, rollout: str | Path | None, config: Config, run_there: str) -> dict[str, Any] | None:
    """The checkpoint that was best by what the run itself measured; None if it kept none."""
    folder = run / "checkpoints" / BEST
    if not (folder / "policy.json").is_file():
        if rollout is not None:
            raise CheckpointError(f"{folder} holds no checkpoint; this run kept no best one")
        return None
    checkpoint = read_checkpoint(folder, training=False)
    found = {"step": checkpoint.step, "chosen_by": checkpoint.about.get(BEST), "rollout": None}
    part = f"rollout-{BEST}"
    if rollout is None and (run / part / "rollout.json").is_file():
        rollout = run / part
    if rollout is not None:
        found["rollout"] = _evaluation(Path(rollout), config, checkpoint.step, BEST, run, run_there, part)
    return found


def _video(video: str | Path | None, rollout: Path) -> dict[str, bytes]:
    """A card's video and a moving picture of it, by the ends of their names; none without a video."""
    found = rollout / "video.mp4" if video is None else Path(video)
    if not found.is_file():
        if video is not None:
            raise ConfigError(f"{video} does not exist; name an MP4 file that ddpm-edu rollout wrote")
        return {}
    if found.stat().st_size > MAX_VIDEO_BYTES:
        raise ConfigError(
            f"{found} has {found.stat().st_size:,} bytes, and a card keeps at most {MAX_VIDEO_BYTES:,}; "
            "roll out with fewer --videos"
        )
    return {".mp4": found.read_bytes(), ".webp": moving_picture(found)}
