"""An episode with its decisions, recorded for the player in the page: numbers, pictures and a video."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.tasks import get_task
from ddpm_edu.viz.denoising import look_ahead
from ddpm_edu.viz.live import Live
from ddpm_edu.viz.overlay import Camera, hand_path

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy
    from ddpm_edu.simulation.env import ManipulationEnv

METRES_PER_UNIT = 0.0125  # notebook 00 measures it
PLANS = 16
SIZE = 256  # pixels of a picture
_MOST_LEVELS = 11  # of one decision; with more steps, some of them


def record_episode(
    policy: DiffusionPolicy,
    seed: int = 200_000,
    plans: int = PLANS,
    pictures: bool = True,
    most_decisions: int | None = None,
    played: np.ndarray | None = None,
    noise: torch.Generator | None = None,
) -> dict[str, Any]:
    """Plays an episode and keeps what the policy considered at each decision.

    Args:
        policy: decides by delta actions; its first plan is carried out.
        seed: the simulator's; the policy's noise is seeded with 0 and counts up.
        plans: how many noises are denoised at each decision.
        pictures: also the camera's picture at each decision; without a renderer there are none.
        most_decisions: end after so many.
        played: actions (L, Da) of this episode, which are played again instead of deciding anew.
        noise: draws that of the first plan; by default it is seeded with 0.

    Returns:
        What `player.js` reads, plain containers: "hand" and "things", metres at each step, "decisions", each
        with "step", "picture" and "levels" (levels, plans, steps, 3), "success"; None if the episode went
        on after the decisions that are shown.

    Raises:
        ConfigError: for absolute actions, whose plans are poses already.
        SimulatorError: if the simulator cannot run here.
    """
    from ddpm_edu.simulation.env import make_env

    if policy.config.action != "delta":
        raise ConfigError("the player shows policies with delta actions; this one has absolute ones")
    task = get_task(policy.config.task)
    env = make_env(policy.config.task, policy.config.observation)
    decisions: list[dict[str, Any]] = []
    noises = [torch.Generator().manual_seed(index) for index in range(plans)]
    noises[0] = noise or noises[0]
    camera = None
    try:
        observation, _ = env.reset(seed=seed)
        history, taken, done, info = [observation], [], False, {"success": False}
        places = [_places(env)]
        while not done and (most_decisions is None or len(decisions) < most_decisions):
            _, considered, actions = look_ahead(policy, history, taken, noises)
            shown = np.linspace(0, len(considered) - 1, min(len(considered), _MOST_LEVELS))
            shown = considered[shown.round().astype(int)]  # (levels, plans, steps, Da)
            hand = places[-1]["hand"]
            levels = [hand_path(hand, level, METRES_PER_UNIT).round(4).tolist() for level in shown]
            picture = None
            if pictures:
                try:
                    picture = as_jpeg(env.render_frame(SIZE, SIZE))
                    camera = camera or _camera(env)
                except SimulatorError:
                    pictures = False
            step = len(places) - 1
            if played is not None:
                actions = played[step : step + policy.n_action_steps]
            for action in actions:
                observation, _, terminated, truncated, info = env.step(action)
                history.append(observation)
                taken.append(action)
                places.append(_places(env))
                done = terminated or truncated
                if done:
                    break
            done = done or (played is not None and len(places) > len(played))
            decision = {
                "step": step,
                "picture": picture,
                "levels": levels,
                "executed": len(places) - 1 - step,
            }
            decisions.append(decision)
    finally:
        env.close()
    return {
        "title": f"{task.title}, simulator seed {seed}",
        "seconds": 1 / task.control_frequency,
        "success": bool(info["success"]) if done else None,
        "hand": [place["hand"] for place in places],
        "things": {"object": [place["object"] for place in places]},
        "camera": camera,
        "video": None,
        "decisions": decisions,
    }


def player(record: Mapping[str, Any]) -> Live:
    """The recorded episode as the output of a cell, or part of a page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), dpi=80)
    axes = figure.add_subplot(projection="3d")
    decision = record["decisions"][0]
    for path in decision["levels"][-1]:
        axes.plot(*np.transpose(path), linewidth=1)
    axes.plot(*np.transpose(record["hand"]), color="gray")
    axes.set(xlabel="x", ylabel="y", zlabel="z, metres")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    end = {True: "succeeds", False: "fails", None: "goes on after them"}[record["success"]]
    words = (
        f"{record['title']}: the way of the hand, and {len(decision['levels'][-1])} plans of the first of "
        f"{len(record['decisions'])} decisions; the episode {end}."
    )
    return Live("player", file.getvalue(), words, record)


def _places(env: ManipulationEnv) -> dict[str, list[float]]:
    seen = env.low_dim_observation()
    hand, thing = seen["robot0_eef_pos"], seen["object"][:3]
    return {"hand": np.round(hand, 4).tolist(), "object": np.round(thing, 4).tolist()}


def _camera(env: ManipulationEnv) -> dict[str, Any]:
    camera = Camera(*env.camera_pose(), SIZE, SIZE)
    return {
        "position": np.asarray(camera.position).round(5).tolist(),
        "rotation": np.asarray(camera.rotation).round(5).tolist(),
        "fovy": float(camera.fovy),
        "width": SIZE,
        "height": SIZE,
    }


def as_jpeg(picture: np.ndarray, quality: int = 80) -> str:
    """A picture, uint8 (height, width, 3), as an address that holds it."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="jpeg", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
