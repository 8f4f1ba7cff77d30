"""What is written from result cards: a page for each policy, and the tables that collect them."""

from __future__ import annotations

import re
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ddpm_edu.config import PolicyConfig, TrainingConfig
from ddpm_edu.denoisers import DENOISERS
from ddpm_edu.diffusion.processes import PROCESSES
from ddpm_edu.errors import ConfigError
from ddpm_edu.files import write_atomically
from ddpm_edu.settings import from_dict, to_dict
from ddpm_edu.tasks import TASKS, Task
from ddpm_edu.text import for_markdown, for_terminal

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
NOT_RUN = "not run"
SHIPPED = "shipped"
USUAL_PROCESS = "gaussian"
"""That of the grids; other processes are in the list of runs."""
_TEACHES_NOTHING = frozenset(
    {"seed", "log_every", "validate_every", "checkpoint_every", "keep_checkpoints", "compile"}
    | {"rollout_every", "rollout_episodes"}
)
"""Settings of a training that leave the policy as it would be."""
_SENSES = {"low_dim": "state", "image": "cameras"}


def card_page(card: Mapping[str, Any]) -> str:
    """A card as Markdown."""
    best = (card["best"] or {}).get("rollout") or {}
    commands = (
        card["training"].get("collect"),
        card["training"]["command"],
        card["last"]["command"],
        best.get("command"),
    )
    lines = for_terminal("\n".join(map(wrapped, filter(None, commands))))
    fence = "```"
    while fence in lines:
        fence += "`"
    card = _safe(card)
    policy, training, last = card["policy"], card["training"], card["last"]
    title = _title(policy)
    machine = last["machine"]
    rows = [
        ("last checkpoint", f"step {last['step']:,}: **{_success(last)}**"),
        ("best checkpoint", _best(card["best"], last["step"])),
        ("simulator seeds", f"{last['first_seed']:,} to {last['first_seed'] + last['episodes'] - 1:,}"),
        ("noise seed", str(last["noise_seed"])),
        (
            "horizons",
            f"T = {policy['horizon']}, To = {policy['n_obs_steps']}, "
            f"Ta = {last.get('n_action_steps', policy['n_action_steps'])}",
        ),
        ("sampler", f"{last['scheduler']}, {last['num_inference_steps']} steps"),
        (
            "inference",
            f"{1000 * last['seconds_per_call']:.0f} ms for {last['batch_size']} episodes at once, "
            f"{1000 * last['seconds_per_chunk']:.1f} ms per action chunk",
        ),
        ("robot time to success", _number(last["seconds_to_success"], ".1f", " s")),
        ("simulators restarted", str(last["restarts"] or "none")),
        ("parameters", f"{last['parameters']:,}"),
        ("demonstrations", training["demonstrations"]),
        ("training", f"{training['steps']:,} steps of batch {training['batch_size']}"),
        (
            "training time",
            f"{_hours(training['seconds'])}, {training['device']}, {training['threads']} threads"),
        ("mixed precision", training["mixed_precision"]),
        ("training seed", str(training["seed"])),
        ("training loss", f"{training['loss']:.4f}"),
        ("held-out loss", _number(training["validation_loss"], ".4f")),
        ("evaluated on", f"{machine['processor']}, {machine['cores']} cores, {machine['device']}"),
        ("evaluated at", last["written"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in last["versions"].items())),
    ]  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    video = "No video.\n\n"
    if card["video"]:
        moving = Path(card["video"]).with_suffix(".webp")
        video = (
            f"[![Episodes of this policy, moving]({moving})]({card['video']})\n\n"
            "Successes and failures, faster than they were; "
            f"[as a video, in the robot's own time]({card['video']}).\n\n"
        )
    return (
        f"# {title}\n\n{video}{fence}sh\n{lines}\n{fence}\n\n| | |\n|---|---|\n{table}\n\n"
        f"![Learning curve]({card['name']}.png)\n\n"
        "One training seed: the interval says how sure the success of this policy is, not how much policies "
        "of other seeds differ.\n"
    )


def wrapped(command: str, width: int = 88) -> str:
    """Commands over several lines, broken before options and after `&&`; a shell reads the same."""
    try:
        commands = [shlex.split(part) for part in command.split(" && ")]
    except ValueError:  # a quoted word holds the sign
        return command
    if not all(commands) or " && ".join(map(shlex.join, commands)) != command:
        return command  # written by hand, in a way of its own
    return " &&\n".join(_over_lines(words, width) for words in commands)


def _over_lines(words: Sequence[str], width: int) -> str:
    lines = [shlex.quote(words[0])]
    for word, after in pairwise([*words[1:], "--"]):
        # An option stands on one line with its first value.
        value = "" if after.startswith("--") else f" {shlex.quote(after)}"
        if word.startswith("--") and len(f"{lines[-1]} {word}{value} \\") > width:
            lines[-1] += " \\"
            lines.append(f"    {shlex.quote(word)}")
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return "\n".join(lines)


def grid(cards: Sequence[Mapping[str, Any]], link: str = "") -> str:
    """One cell for each task, what it sees, and denoiser, under global conditioning; see `tables`."""
    cards, networks = sorted(map(_safe, cards), key=_order), _networks()
    lines = [f"| task | sees | {' | '.join(networks.values())} |", f"|---|---{'|---' * len(networks)}|"]
    for task in _tasks(cards):
        for observation, senses in _SENSES.items():
            cells = [_cell(cards, link, task.name, observation, denoiser, "global") for denoiser in networks]
            lines.append(f"| {task.title} | {senses} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tables(cards: Sequence[Mapping[str, Any]], link: str = "") -> str:
    """The grids of all policies, in which a cell that was not run says so, and the list of every run.

    Args:
        cards: from `read_cards`.
        link: what stands before the name of a card's page, such as "results/".
    """
    cards, networks = sorted(map(_safe, cards), key=_order), _networks()
    lines = [
        "Success of the last checkpoint with its 95 % Wilson interval; no demonstration began where these "
        "episodes begin. A cell has all training seeds of one setting, and of several settings the one that "
        "succeeded most often, which flatters it a little. The list below has all of them.",
        "",
        grid(cards, link),
    ]
    lines += ["", "| task, state | global conditioning | inpainting |", "|---|---|---|"]
    for task in _tasks(cards):
        for denoiser, network in networks.items():
            cells = [
                _cell(cards, link, task.name, "low_dim", denoiser, how) for how in ("global", "inpainting")
            ]
            lines.append(f"| {task.title}, {network} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_list_of_runs(cards, link)])


def _title(policy: Mapping[str, Any]) -> str:
    senses, network = _SENSES[policy["observation"]], _network(policy)
    return f"{TASKS[policy['task']].title}, {senses}: {network} with {policy['conditioning']} conditioning"


def _networks() -> dict[str, str]:
    """Titles of the denoisers by name, in the order of titles."""
    return {kind.name: kind.title for kind in sorted(DENOISERS.values(), key=lambda kind: kind.title)}


def _tasks(cards: Sequence[Mapping[str, Any]]) -> list[Task]:
    """The tasks that have a row: those with shipped demonstrations, and those with a card."""
    run = {card["policy"]["task"] for card in cards}
    return [task for task in TASKS.values() if task.shipped or task.name in run]


def _process(policy: Mapping[str, Any]) -> str:
    return policy.get("process", USUAL_PROCESS)  # cards of before there was another have no entry


def _network(policy: Mapping[str, Any]) -> str:
    """The network's title, and the process's where it is not the usual one."""
    network, process = DENOISERS.get(policy["denoiser"]).title, _process(policy)
    return network if process == USUAL_PROCESS else f"{network}, {PROCESSES.get(process).title}"


def _list_of_runs(cards: Sequence[Mapping[str, Any]], link: str) -> list[str]:
    lines = [
        "| task | sees | network | conditioning | demonstrations | steps | Ta | seed | success | trained in "
        "| best checkpoint |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        policy, training = card["policy"], card["training"]
        words = [
            TASKS[policy["task"]].title,
            _SENSES[policy["observation"]],
            _network(policy),
            policy["conditioning"],
            _demonstrations(card),
            f"{training['steps']:,}",
            str(_action_steps(card)),
            str(training["seed"]),
            f"[{_success(card['last'])}]({link}{card['name']}.md)",
            _hours(training["seconds"]),
            _best(card["best"], card["last"]["step"]),
        ]
        lines.append(f"| {' | '.join(words)} |")
    return lines if cards else [*lines, "| none yet" + " |" * 11]


def write_index(cards: Sequence[Mapping[str, Any]], folder: str | Path) -> Path:
    """Write the folder's README.md from its cards."""
    path = Path(folder) / "README.md"
    text = (
        "# Results\n\nWritten by `ddpm-edu results card RUN`, from the run's folder and its rollout; nothing "
        "here is typed.\nCells that say *not run* were not run.\n\n" + tables(cards) + "\n"
    )
    with write_atomically(path) as file:
        file.write(text.encode())
    return path


def write_between_markers(path: str | Path, content: str) -> bool:
    """Replace what stands between the results' markers of a file; False if it has none.

    Raises:
        ConfigError: if only one of the markers is there, or they stand in the wrong order.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 and end < 0:
        return False
    if not 0 <= begin < end:
        raise ConfigError(f"{path} needs {BEGIN} and, after it, {END}; put both or neither")
    new = f"{text[: begin + len(BEGIN)]}\n{content}\n{text[end:]}"
    if new != text:
        with write_atomically(path) as file:
            file.write(new.encode())
    return True


def _safe(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card whose texts are only text in Markdown, and whose names of files can be links."""
    video = card["video"] and quote(card["video"])
    return {**_escaped(card), "name": quote(card["name"]), "video": video}


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {for_markdown(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return for_markdown(value) if isinstance(value, str) else value


def _order(card: Mapping[str, Any]) -> tuple[Any, ...]:
    policy, training = card["policy"], card["training"]
    network = DENOISERS.get(policy["denoiser"]).title
    places = (list(TASKS).index(policy["task"]), list(_SENSES).index(policy["observation"]))
    places += (network, policy["conditioning"], training["steps"], training["seed"])
    return (*places, -_action_steps(card))


def _cell(cards: Sequence[Mapping[str, Any]], link: str, *wanted: str) -> str:
    """What succeeded most often of a cell's policies; runs that differ in their seed alone count together.

    The same run evaluated with another Ta is another policy: it says so, and joins no mean.
    """
    keys = ("task", "observation", "denoiser", "conditioning")
    usual = [card for card in cards if _process(card["policy"]) == USUAL_PROCESS]
    found = [card for card in usual if tuple(card["policy"][key] for key in keys) == wanted]
    if not found:
        return f"*{NOT_RUN}*"
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for card in found:
        groups.setdefault(_all_but_the_seed(card), []).append(card)
    best = max(groups.values(), key=lambda group: statistics.mean(map(_rate, group)))
    lines = [f"[{_success(card['last'])}]({link}{card['name']}.md)" for card in best]
    setting = f", {best[0]['training']['steps']:,} steps{_circumstances(best[0])}"
    if len(best) == 1:
        return lines[0] + setting
    rates = [_rate(card) for card in best]
    mean = f"mean {statistics.mean(rates):.1%} of {len(rates)} seeds{setting}:"
    return "<br>".join([mean, *lines])


def _all_but_the_seed(card: Mapping[str, Any]) -> str:
    """What two runs have in common that differ in their seed alone, however they were asked for."""
    # Cards of before there was a setting have none of it.
    policy = to_dict(from_dict(PolicyConfig, card["policy"]))
    names = {setting.name for setting in fields(TrainingConfig)}
    given = {name: value for name, value in card["training"].items() if name in names}
    training = to_dict(from_dict(TrainingConfig, given))
    unused = {"n_action_steps"}  # the rollout's counts, which is among the circumstances
    unused |= {"inpainting"} if policy["conditioning"] != "inpainting" else set()
    unused |= {"vision"} if policy["observation"] == "low_dim" else set()
    # Whose eyes and whose answers a policy learned with stands in its commands alone.
    ways = re.findall(r"ddpm-edu (\w+)|--policy (\S+)", card["training"]["command"])
    return repr(
        (
            {name: value for name, value in policy.items() if name not in unused},
            {name: value for name, value in training.items() if name not in _TEACHES_NOTHING},
            ways,
            _circumstances(card),
            _action_steps(card),
        )
    )


def _circumstances(card: Mapping[str, Any]) -> str:
    """Such as ", 1,000 demonstrations, Ta = 2": other data than shipped, and a Ta that is not the default."""
    data, played = _demonstrations(card), _action_steps(card)
    counted = " demonstrations" if data[0].isdigit() else ""
    return ("" if data == SHIPPED else f", {data}{counted}") + (
        "" if played == PolicyConfig.n_action_steps else f", Ta = {played}"
    )


def _demonstrations(card: Mapping[str, Any]) -> str:
    """How many demonstrations were collected for a run, or the name of the file that it was given."""
    training, policy = card["training"], card["policy"]
    command, path = training.get("collect") or "", training["demonstrations"]
    if command.startswith("ddpm-edu collect"):
        number = re.search(r" --n (\d+)", command)
        return f"{int(number[1]) if number else 200:,}"
    shipped = f"data/{policy['task']}_{policy['observation']}.hdf5"
    return SHIPPED if path == shipped else f"`{Path(path).name}`"


def _action_steps(card: Mapping[str, Any]) -> int:
    """Ta of the rollout, which need not be that of training."""
    return card["last"].get("n_action_steps", card["policy"]["n_action_steps"])


def _rate(card: Mapping[str, Any]) -> float:
    return card["last"]["successes"] / card["last"]["episodes"]


def _success(rollout: Mapping[str, Any]) -> str:
    low, high = rollout["interval_95"]
    return (
        f"{rollout['successes'] / rollout['episodes']:.0%} ({low:.0%} to {high:.0%}) of {rollout['episodes']}"
    )


def _best(best: Mapping[str, Any] | None, last_step: int) -> str:
    if best is None:
        return "not kept"
    if best["step"] == last_step:
        return f"the last, by {best['chosen_by']}"
    chosen = f"step {best['step']:,}, chosen by {best['chosen_by']}"
    return f"{chosen}: {_success(best['rollout']) if best['rollout'] else 'not rolled out'}"


def _number(value: float | None, style: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{style}}{unit}"


def _hours(seconds: float | None) -> str:
    if seconds is None:
        return "time not kept"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
