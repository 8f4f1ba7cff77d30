"""The page of a report; its words and shape are in templates/report.html.j2."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ddpm_edu.denoisers import DENOISERS
from ddpm_edu.tasks import get_task


def render_page(
    numbers: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    video: bytes | None,
    player: str | None = None,
) -> str:
    """The report as one HTML file.

    Args:
        numbers: what `report.json` holds.
        pictures: PNG files: "episodes", and where there are "strip", "denoising", "learning_curve".
        video: an MP4 file, or None.
        player: HTML of an episode to look at from all sides, or None.
    """
    policy = numbers["config"]["policy"]
    low, high = numbers["interval_95"]
    every = dict.fromkeys(("episodes", "strip", "denoising", "learning_curve"))
    return _template().render(
        title=f"{get_task(numbers['task']).title}: {_words(policy)}",
        numbers=numbers,
        policy=policy,
        rate=numbers["success_rate"],
        low=low,
        high=high,
        facts=_facts(numbers),
        record=_record(numbers),
        pictures={**every, **pictures},
        video=video,
        player=player,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ddpm_edu.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "data_url": _data,
        "flat": _flat,
        "percent": lambda share: f"{share:.0%}",
        "exactly": lambda share: f"{share:.2%}",
    }
    return environment.get_template("report.html.j2")


def _words(policy: Mapping[str, Any]) -> str:
    denoiser = DENOISERS.get(policy["denoiser"]).title
    sees = {"low_dim": "state", "image": "camera"}[policy["observation"]]
    return f"{denoiser} with {policy['conditioning']} conditioning, {sees} observations"


def _facts(numbers: Mapping[str, Any]) -> dict[str, str | None]:
    training, rollout = numbers["training"], numbers["rollout"]
    return {
        "parameters": f"{numbers['parameters'] / 1e6:.1f} million",
        "trained": f"{training['steps']:,} steps" if training["steps"] else None,
        "training time": _duration(training["seconds"]),
        "robot time to success": _seconds(numbers["seconds_to_success"]),
        # One time, not two: report.json also has that of a call, which decides for all simulators together.
        "a decision, several at once": f"{1000 * rollout['seconds_per_chunk']:.1f} ms",
        "evaluation time": _duration(rollout["seconds"]),
    }


def _record(numbers: Mapping[str, Any]) -> dict[str, Any]:
    machine, rollout, training = numbers["machine"], numbers["rollout"], numbers["training"]
    return {
        "checkpoint": numbers["checkpoint"],
        "simulator seeds": f"{numbers['first_seed']} to {numbers['first_seed'] + numbers['episodes'] - 1}",
        "noise seed": numbers["noise_seed"],
        "training loss": _number(training["loss"]),
        "held-out loss": _number(training["validation_loss"]),
        "simulator processes": rollout["workers"],
        "restarted simulators": rollout["restarts"] or "none",
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
        + (f", {machine['gpu']}" if "gpu" in machine else ""),
        "versions": ", ".join(f"{name} {version}" for name, version in numbers["versions"].items()),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
