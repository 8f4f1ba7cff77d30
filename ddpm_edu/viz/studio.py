"""The studio: one decision, many noises, seen from all sides in the page; numbers instead of pictures.

A record says what there is to see; `studio` shows it. Three kinds: a decision of a trained policy, recorded
(`record_decision`), and two that the page computes itself, for any noise: clean paths that become noise, and
walks from noise to a distribution whose best denoiser is known.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image

from ddpm_edu.diffusion.schedule import make_noise_schedule
from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.tasks import get_task
from ddpm_edu.viz.denoising import look_ahead
from ddpm_edu.viz.episode import METRES_PER_UNIT, as_jpeg
from ddpm_edu.viz.live import Live
from ddpm_edu.viz.overlay import Camera, hand_path
from ddpm_edu.viz.style import LINES, house_style, new_figure

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy
    from ddpm_edu.simulation.env import ManipulationEnv

COUNT = 32
LEVELS = tuple(range(99, 0, -10))
"""The diffusion steps k that a recorded decision keeps, beside the result: those of ten steps of DDIM."""
_RENDERED, _SHOWN = 352, 176  # pixels of a picture, and of what is cut out around the hand


def pack_paths(paths: ArrayLike) -> dict[str, Any]:
    """Paths (levels, N, P, 3) in one byte a number, for `studio_sources.js`.

    Each point is written as the way from the point before, as it will be read: errors do not add up. A level
    has its own unit, so that the result, whose steps are small, is told finest.
    """
    paths = np.asarray(paths, dtype=np.float64)
    origin = paths[-1].reshape(-1, 3).mean(axis=0)
    steps = np.empty(paths.shape, np.int8)
    units = []
    for level, told in zip(paths, steps, strict=True):
        ways = np.diff(level, axis=1, prepend=np.broadcast_to(origin, (len(level), 1, 3)))  # (N, P, 3)
        unit = max(float(np.abs(ways).max()) / 126, 1e-9)
        reached = np.broadcast_to(origin, (len(level), 3))
        for point in range(paths.shape[2]):
            told[:, point] = np.round((level[:, point] - reached) / unit).clip(-127, 127)
            reached = reached + unit * told[:, point]
        units.append(unit)
    return {
        "shape": list(paths.shape),
        "origin": origin.tolist(),
        "units": units,
        "steps": base64.b64encode(steps.tobytes()).decode(),
    }


def sides(paths: np.ndarray, place: ArrayLike) -> list[int]:
    """Which way paths (N, P, 3) go round the straight line from their start to a place (3,).

    Returns:
        0 for the left, 1 for the right of a person who looks along the line.
    """
    start = paths[:, 0]  # (N, 3)
    ahead, aside = np.asarray(place) - start, paths[:, paths.shape[1] // 2] - start
    return (ahead[:, 0] * aside[:, 1] - ahead[:, 1] * aside[:, 0] <= 0).astype(int).tolist()


def record_decision(
    policy: DiffusionPolicy,
    seed: int,
    samplers: Mapping[str, tuple[str, int]] | None = None,
    sets: int = 1,
    film_decisions: int = 0,
    count: int = COUNT,
) -> dict[str, Any]:
    """The first decision of an episode, the approach, as it comes out of many noises.

    Args:
        policy: decides by delta actions.
        seed: the simulator's.
        samplers: {name: (scheduler, steps)}; each begins from the same noises. Ten steps of DDIM
            by default.
        sets: how many times `count` noises are recorded; a button goes from one to the next.
        film_decisions: so many decisions are carried out and filmed, the first plan's included.
        count: noises in a set.

    Returns:
        What `studio` shows; without a renderer there is neither picture nor film.

    Raises:
        ConfigError: for absolute actions, whose plans are poses already, or no samplers.
        SimulatorError: if the simulator cannot run here.
    """
    from ddpm_edu.simulation.env import make_env

    if policy.config.action != "delta":
        raise ConfigError("the studio shows policies with delta actions; this one has absolute ones")
    samplers = samplers if samplers is not None else {"DDIM, 10 steps": ("ddim", 10)}
    if not samplers:
        raise ConfigError("samplers are empty; name at least one, such as {'DDIM': ('ddim', 10)}")
    task = get_task(policy.config.task)
    name = task.title.lower()
    env = make_env(policy.config.task, policy.config.observation)
    try:
        observation, _ = env.reset(seed=seed)
        seen = env.low_dim_observation()
        hand, thing = np.array(seen["robot0_eef_pos"]), np.array(seen["object"][:3])
        recorded, action = [], None
        for index in range(sets):
            runs = []
            for sampler, (scheduler, steps) in samplers.items():
                sampled = policy.with_settings(scheduler=scheduler, num_inference_steps=steps)
                noises = [torch.Generator().manual_seed(index * count + i) for i in range(count)]
                ks, levels, actions = look_ahead(sampled, [observation], [], noises)
                shown = [index for index, k in enumerate(ks) if k in LEVELS or k < 0]
                paths = hand_path(hand, levels[shown], METRES_PER_UNIT)  # (levels, N, P, 3)
                action = actions if action is None else action
                runs.append(
                    {
                        "name": sampler,
                        "ks": [int(ks[index]) for index in shown],
                        "paths": pack_paths(paths),
                        "kinds": sides(paths[-1], thing),
                    }
                )
            recorded.append(runs)
        record: dict[str, Any] = {
            "kind": "recorded",
            "title": f"One decision, {count} times over: {task.title}, simulator seed {seed}",
            "ways": [f"passes left of the {name}", f"passes right of the {name}"],
            "sets": recorded,
            "start": hand.round(4).tolist(),
            "things": [{"name": name, "place": thing.round(4).tolist()}],
            "metres": True,
        }
        try:
            _look(env, record, hand, thing)
            if film_decisions:
                record["film"] = _film(env, policy, observation, action, film_decisions, record["camera"])
        except SimulatorError:
            pass  # no renderer: numbers only
    finally:
        env.close()
    return record


def studio(record: Mapping[str, Any], title: str | None = None) -> Live:
    """A record as the output of a cell; where scripts do not run, its last level as a picture.

    Args:
        record: from `record_decision`, `forward_record` or `walks_record`, or put together like theirs.
        title: what is seen; by default the record's.
    """
    record = {**record, "title": title or record["title"]}
    levels, kinds = _still_of(record)
    with house_style():
        figure = new_figure(3.4)
        figure.set_layout_engine("none")  # matplotlib 3.10's finds no room beside cubes
        chosen = [0, len(levels) // 2, len(levels) - 1]
        for place, index in enumerate(chosen):
            axes = figure.add_axes((place / 3, 0.02, 1 / 3, 0.86), projection="3d")
            for path, kind in zip(levels[index], kinds, strict=True):
                line = LINES[kind % len(LINES)]
                axes.plot(*path.T, color=line.color, linestyle=line.linestyle, linewidth=0.8)
                axes.plot(*path[-1:].T, color=line.color, marker=line.marker, markersize=3)
            axes.set_title(("noise", "on the way", "the result")[place])
            axes.set(xticklabels=[], yticklabels=[], zticklabels=[])
        drawn, file = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=80)
    Image.open(drawn).convert("RGB").quantize(32).save(file, format="png", optimize=True)
    counts = [f"{kinds.count(i)} {way}" for i, way in enumerate(record["ways"]) if kinds.count(i)]
    words = f"{record['title']}. {len(kinds)} paths out of noise in three moments; in the end: "
    return Live("studio", file.getvalue(), f"{words}{', '.join(counts)}.", record)


def paths_record(
    ks: Sequence[int],
    paths: ArrayLike,
    kinds: Sequence[int],
    ways: Sequence[str],
    title: str,
    things: Mapping[str, ArrayLike],
) -> dict[str, Any]:
    """Paths in metres that somebody else has recorded.

    Args:
        ks: the diffusion step of each level, -1 for the result, which is the last.
        paths: (levels, N, P, 3).
        kinds: which of `ways` each path goes.
        ways: their names.
        title: what is seen.
        things: {name: (3,)}, metres.
    """
    run = {"name": "", "ks": list(ks), "paths": pack_paths(paths), "kinds": list(kinds)}
    return {
        "kind": "recorded",
        "title": title,
        "ways": list(ways),
        "sets": [[run]],
        "things": [{"name": name, "place": np.round(place, 4).tolist()} for name, place in things.items()],
        "metres": True,
    }


def forward_record(clean: Mapping[str, ArrayLike], title: str, count: int = COUNT) -> dict[str, Any]:
    """Clean paths {name: (T, 3)}; the page makes noise of `count` of them, with the squared cosine."""
    return {
        "kind": "forward",
        "title": title,
        "ways": list(clean),
        "clean": [np.asarray(path, dtype=np.float64).round(4).tolist() for path in clean.values()],
        "count": count,
    }


def walks_record(
    means: Mapping[str, ArrayLike],
    std: float,
    samplers: Mapping[str, tuple[int, float]],
    title: str,
    count: int = COUNT,
) -> dict[str, Any]:
    """Heaps of points around means {name: (2,)}, to which the page walks from noise; k is the height.

    Args:
        means: equally likely.
        std: of each heap.
        samplers: {name: (steps, eta)}; eta 0 is DDIM, 1 is DDPM.
        title: what is seen.
        count: walks.
    """
    return {
        "kind": "walks",
        "title": title,
        "ways": list(means),
        "means": [np.asarray(mean, dtype=np.float64).tolist() for mean in means.values()],
        "std": std,
        "samplers": [{"name": name, "steps": steps, "eta": eta} for name, (steps, eta) in samplers.items()],
        "count": count,
    }


def _look(env: ManipulationEnv, record: dict[str, Any], hand: np.ndarray, thing: np.ndarray) -> None:
    """Adds the camera and what it sees of hand, thing and the way between."""
    picture = env.render_frame(_RENDERED, _RENDERED)
    camera = Camera(*env.camera_pose(), _RENDERED, _RENDERED)
    row_of, column_of = 1, 0
    pixels = camera.project(np.stack([hand, thing]))  # (2, 2)
    middle = pixels.mean(axis=0) - _SHOWN / 2
    left, top = (int(np.clip(middle[i], 0, _RENDERED - _SHOWN)) for i in (column_of, row_of))
    record["camera"] = {
        "position": np.asarray(camera.position).round(5).tolist(),
        "rotation": np.asarray(camera.rotation).round(5).tolist(),
        "fovy": float(camera.fovy),
        "size": _RENDERED,
        "cut": [left, top, _SHOWN],
    }
    record["picture"] = as_jpeg(_cut(picture, record["camera"]))


def _cut(picture: np.ndarray, camera: Mapping[str, Any]) -> np.ndarray:
    left, top, side = camera["cut"]
    return picture[top : top + side, left : left + side]


def _film(
    env: ManipulationEnv,
    policy: DiffusionPolicy,
    observation: Mapping[str, np.ndarray],
    action: np.ndarray,
    decisions: int,
    camera: Mapping[str, Any],
) -> dict[str, Any]:
    """Carries out the first plan and what is decided after it; a picture for every second step."""
    history, taken = [observation], []
    noise = [torch.Generator().manual_seed(0)]
    pictures, hand = [], []
    for decision in range(decisions):
        if decision:
            _, _, action = look_ahead(policy, history, taken, noise)
        for index, values in enumerate(action):
            history.append(env.step(values)[0])
            taken.append(values)
            if index % 2:
                pictures.append(as_jpeg(_cut(env.render_frame(_RENDERED, _RENDERED), camera), quality=60))
                hand.append(np.round(env.low_dim_observation()["robot0_eef_pos"], 4).tolist())
    seconds = 2 / get_task(policy.config.task).control_frequency
    return {"pictures": pictures, "hand": hand, "seconds": seconds, "per_decision": len(action) // 2}


def _still_of(record: Mapping[str, Any]) -> tuple[list[np.ndarray], list[int]]:
    """Some levels of its paths (N, P, 3), and each path's way."""
    if record["kind"] == "recorded":
        run = record["sets"][0][0]
        return list(_unpack(run["paths"])), run["kinds"]
    generator = np.random.default_rng(0)
    scale = make_noise_schedule(100)
    signal, noise = scale.signal_scale.numpy(), scale.noise_scale.numpy()
    kinds = [i % len(record["ways"]) for i in range(record["count"])]
    if record["kind"] == "forward":
        clean = np.asarray(record["clean"])[kinds]  # (N, T, 3)
        drawn = generator.normal(size=clean.shape)
        return [signal[k] * clean + noise[k] * drawn for k in (99, 40, 0)], kinds
    # A walk's way in the page follows from its noise; a still needs only walks that look like it.
    ends = np.asarray(record["means"])[kinds]  # (N, 2)
    drawn = generator.normal(size=ends.shape)
    ks = np.arange(99, -1, -11)
    walks = signal[ks, None] * ends[:, None] + noise[ks, None] * drawn[:, None]  # (N, P, 2)
    height = np.broadcast_to(ks[:, None] / 100, (*walks.shape[:2], 1))
    paths = np.concatenate([walks, height], axis=-1)
    return [paths[:, :2], paths[:, :5], paths], kinds


def _unpack(packed: Mapping[str, Any]) -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(packed["steps"]), np.int8).reshape(packed["shape"])
    units = np.reshape(packed["units"], (-1, 1, 1, 1))
    return np.asarray(packed["origin"]) + (units * steps).cumsum(axis=2)  # (levels, N, P, 3)
