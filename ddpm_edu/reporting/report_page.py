"""The page of a report: one file without references, so that it opens offline and in ten years."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

from ddpm_edu.denoisers import DENOISERS
from ddpm_edu.tasks import get_task

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header p { margin: 0; color: #555; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 3rem 0 .6rem; padding-top: 1rem; border-top: 1px solid #ddd; }
.rate { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.2rem; margin: 1.6rem 0 .4rem; }
.rate strong { font-size: 4.2rem; line-height: 1; letter-spacing: -.03em;
  font-variant-numeric: tabular-nums; }
.rate span { font-size: 1.1rem; }
.bar { width: 100%; height: 44px; display: block; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem 1.5rem;
  margin: 1.4rem 0 0; }
dl dt { color: #555; font-size: .86rem; }
dl dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
img, video { display: block; width: 100%; height: auto; }
video { max-width: 36rem; }
figcaption { color: #555; font-size: .9rem; margin-top: .5rem; max-width: 44rem; }
.scroll { overflow-x: auto; }
.scroll img { min-width: 32rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .28rem .8rem .28rem 0;
  border-bottom: 1px solid #eee; }
th { font-weight: 500; color: #555; white-space: nowrap; width: 38%; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
pre { background: #f5f5f5; padding: .8rem 1rem; overflow-x: auto; font-size: .88rem; margin: 0; }
summary { cursor: pointer; font-weight: 500; padding: .35rem 0; }
details { margin-top: .5rem; }
.note { border-left: 4px solid #1a1a1a; padding: .2rem 0 .2rem .9rem; margin: 1.2rem 0; }
@media (max-width: 34rem) { main { padding-top: 1.5rem; } .rate strong { font-size: 3.2rem; } }
@media print { main { max-width: none; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def render_page(numbers: Mapping[str, Any], pictures: Mapping[str, bytes], video: bytes | None) -> str:
    """The report as one HTML file.

    Args:
        numbers: what `report.json` holds.
        pictures: PNG files: "episodes", and where there are "strip", "denoising", "learning_curve".
        video: an MP4 file, or None.
    """
    policy = numbers["config"]["policy"]
    task = get_task(numbers["task"])
    title = f"{task.title}: {_words(policy)}"
    sections = [_header(numbers, title), *(_note(line) for line in numbers["missing"])]
    if video is not None:
        sections.append(_acting(video, pictures, numbers))
    sections.append(
        _section("Episodes", _figure(pictures["episodes"], "When each episode ended and how.", ""))
    )
    if "denoising" in pictures:
        sections.append(
            _section(
                "One decision",
                _figure(
                    pictures["denoising"],
                    "An action trajectory at several diffusion steps, from noise to the result.",
                    "The policy starts from noise and takes away a part of it at every step, guided by what "
                    f"it observes. Of the {policy['horizon']} predicted actions it executes "
                    f"{policy['n_action_steps']}, then looks again. This is the decision in which the hand "
                    "first closes.",
                ),
            )
        )
    if "learning_curve" in pictures:
        sections.append(
            _section("Training", _figure(pictures["learning_curve"], "Loss by optimiser step.", ""))
        )
    sections.append(_section("How it was made", _record(numbers)))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _words(policy: Mapping[str, Any]) -> str:
    denoiser = DENOISERS.get(policy["denoiser"]).title
    sees = {"low_dim": "state", "image": "camera"}[policy["observation"]]
    return f"{denoiser} with {policy['conditioning']} conditioning, {sees} observations"


def _header(numbers: Mapping[str, Any], title: str) -> str:
    low, high = numbers["interval_95"]
    rate, training, rollout = numbers["success_rate"], numbers["training"], numbers["rollout"]
    facts = [
        ("parameters", f"{numbers['parameters'] / 1e6:.1f} million"),
        ("trained", f"{training['steps']:,} steps" if training["steps"] else None),
        ("training time", _duration(training["seconds"])),
        ("robot time to success", _seconds(numbers["seconds_to_success"])),
        (f"inference, {rollout['batch_size']} at once", f"{1000 * rollout['seconds_per_call']:.0f} ms"),
        ("inference per action chunk", f"{1000 * rollout['seconds_per_chunk']:.1f} ms"),
        ("evaluation time", _duration(rollout["seconds"])),
    ]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value
    )
    return (
        f"<header>\n<h1>{escape(title)}</h1>\n<p>Diffusion policy, evaluated in simulation, "
        f"{escape(numbers['written'])}</p>\n"
        f'<p class="rate" style="color:inherit"><strong>{rate:.0%}</strong>'
        f"<span>{numbers['successes']} of {numbers['episodes']} episodes succeeded<br>"
        f"95 % interval: {low:.0%} to {high:.0%}</span></p>\n{_interval_bar(rate, low, high)}\n"
        f"<dl>{items}</dl>\n</header>"
    )


def _interval_bar(rate: float, low: float, high: float) -> str:
    """The success rate as a bar with its interval, in percent of the width: it stretches with the page."""
    ticks = "".join(
        f'<text x="{x}%" y="42" font-size="12" fill="#555" text-anchor="{anchor}">{x} %</text>'
        for x, anchor in ((0, "start"), (25, "middle"), (50, "middle"), (75, "middle"), (100, "end"))
    )
    line = 'stroke="#1a1a1a" stroke-width="2"'
    return (
        f'<svg class="bar" role="img" aria-label="success rate {rate:.0%}, interval {low:.0%} to {high:.0%}">'
        '<rect x="0" y="6" width="100%" height="18" fill="#f0f0f0"/>'
        f'<rect x="0" y="6" width="{rate:.2%}" height="18" fill="#12355b"/>'
        f'<line x1="{low:.2%}" x2="{high:.2%}" y1="15" y2="15" stroke="#fff" stroke-width="6"/>'
        f'<line x1="{low:.2%}" x2="{high:.2%}" y1="15" y2="15" {line}/>'
        f'<line x1="{low:.2%}" x2="{low:.2%}" y1="8" y2="22" stroke="#fff" stroke-width="6"/>'
        f'<line x1="{low:.2%}" x2="{low:.2%}" y1="8" y2="22" {line}/>'
        f'<line x1="{high:.2%}" x2="{high:.2%}" y1="8" y2="22" {line}/>{ticks}</svg>'
    )


def _acting(video: bytes, pictures: Mapping[str, bytes], numbers: Mapping[str, Any]) -> str:
    strip = (
        f'<figure class="scroll" style="margin-top:1.2rem">'
        f'<img src="{_data(pictures["strip"], "image/png")}" alt="Moments of the first episode, in a row.">'
        "</figure>"
        if "strip" in pictures
        else ""
    )
    return _section(
        "Watch it act",
        f'<figure><video controls loop muted playsinline preload="metadata" '
        f'src="{_data(video, "video/mp4")}"></video><figcaption>In the robot\'s own time. The caption of '
        "each episode says how long it has lasted and how it ended: light for a success, dark for a failure."
        f"</figcaption></figure>{strip}",
    )


def _record(numbers: Mapping[str, Any]) -> str:
    machine, rollout, training = numbers["machine"], numbers["rollout"], numbers["training"]
    rows = {
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
    return (
        f"<pre>{escape(numbers['command'])}</pre>\n<table>{_rows(rows)}</table>\n"
        f"<details><summary>Policy settings</summary><table>{_rows(_flat(numbers['config']['policy']))}"
        "</table></details>\n"
        + (
            f"<details><summary>Training settings</summary>"
            f"<table>{_rows(_flat(numbers['config']['training']))}</table></details>"
            if numbers["config"]["training"]
            else ""
        )
    )


def _rows(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in values.items()
        if value is not None
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _figure(picture: bytes, alternative: str, caption: str) -> str:
    caption = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><div class="scroll"><img src="{_data(picture, "image/png")}" alt="{escape(alternative)}">'
        f"</div>{caption}</figure>"
    )


def _note(text: str) -> str:
    return f'<p class="note">Without its {escape(text)}</p>'


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
