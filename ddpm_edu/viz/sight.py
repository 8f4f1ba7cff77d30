"""What a policy with cameras sees at one moment: its plans, drawn over the very pictures that it gets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from ddpm_edu.errors import ConfigError
from ddpm_edu.tasks import get_task
from ddpm_edu.viz.denoising import play_to, watch_denoising
from ddpm_edu.viz.episode import METRES_PER_UNIT
from ddpm_edu.viz.overlay import Camera, draw_view, hand_path
from ddpm_edu.viz.widgets import Scrubber, film_strip, render_frames, scrubber

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy


@dataclass(frozen=True)
class Sight:
    """One decision over the pictures that it was made from.

    Attributes:
        views: the newest picture uint8 (84, 84, 3) and its camera, by the camera's name.
        paths: where the hand would go (levels, noises, points, 3), metres, at every level of noise.
        timesteps: diffusion step k of each level; -1 is the result.
    """

    views: dict[str, tuple[np.ndarray, Camera]]
    paths: np.ndarray
    timesteps: tuple[int, ...]


def watch_seeing(
    policy: DiffusionPolicy, seed: int, actions: Iterable[np.ndarray] = (), noises: int = 4
) -> Sight:
    """Lets a policy with cameras decide once, from several noises.

    Args:
        policy: decides, by delta actions.
        seed: the episode's; it is played from its start.
        actions: (L, Da) that lead to the moment of the decision; none for the start.
        noises: how often the decision is made, with the noise seeds 0, 1, ...

    Raises:
        ConfigError: for a policy without cameras, or with absolute actions, whose plans are poses already.
        SimulatorError: if nothing can be rendered here.
    """
    if policy.config.observation != "image" or policy.config.action != "delta":
        raise ConfigError(
            f"a policy that sees and acts by delta actions is wanted; this one has observation "
            f"{policy.config.observation!r} and action {policy.config.action!r}"
        )
    keys = [key for key in get_task(policy.config.task).observation("image") if key.type == "rgb"]
    actions = list(actions)
    with play_to(policy, seed, actions) as (simulator, obs):
        views = {}
        for key in keys:
            camera = key.name.removesuffix("_image")
            picture = obs[key.name][0, -1].permute(1, 2, 0).numpy()  # (3, 84, 84) -> (84, 84, 3)
            views[camera] = (picture, Camera(*simulator.camera_pose(camera), *picture.shape[:2]))
        start = obs["robot0_eef_pos"][0, -1].numpy()  # (3,)
    seen = [watch_denoising(policy, obs, index, actions) for index in range(noises)]
    now = seen[0].n_obs_steps - 1
    paths = [hand_path(start, one.trajectories[:, now:], METRES_PER_UNIT) for one in seen]
    return Sight(views, np.stack(paths, axis=1), seen[0].timesteps)


def draw_sight(figure: Figure, sight: Sight, level: int) -> None:
    """All cameras side by side, the plans of one level of noise over each.

    Args:
        figure: empty, about 3.2 inches high and as wide for each camera.
        sight: see `watch_seeing`.
        level: index into its timesteps.
    """
    k = sight.timesteps[level]
    title = "the result" if k < 0 else f"k = {k}: {'pure noise' if level == 0 else 'on the way'}"
    width = 1 / len(sight.views)
    for index, (name, (picture, camera)) in enumerate(sight.views.items()):
        axes = figure.add_axes((index * width + 0.01, 0.02, width - 0.02, 0.84))
        draw_view(axes, picture, camera, sight.paths[level])
        axes.set_title(name, fontsize=9, pad=3)
    figure.text(0.01, 0.96, title, fontsize=11, weight="bold", va="center")


def scrub_sight(sight: Sight, still: Sequence[int] = (0, -1)) -> Scrubber:
    """A slider through the levels of noise.

    Args:
        sight: see `watch_seeing`.
        still: the levels that are shown where widgets do not run; negative ones count from the result.
    """
    levels = range(len(sight.timesteps))
    frames = render_frames(
        lambda figure, level: draw_sight(figure, sight, level),
        levels,
        size=(3.2 * len(sight.views), 3.5),
        colors=None,
    )
    about = "One decision, drawn over what the cameras see"
    strip = film_strip(frames, [levels[level] for level in still], columns=1, about=about)
    return scrubber(frames, description="less noise", interval_ms=500, still=strip)
