"""Plays the episodes of a rollout again, to look at them.

A rollout itself renders nothing: it keeps seeds and actions, and from those the simulator gives the same
episode again, step by step. So any episode can be watched afterwards, from any camera, and failures need
not be foreseen to be filmed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm.auto import tqdm

from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.simulation.results import Episode
from ddpm_edu.simulation.workers import Workers, default_workers
from ddpm_edu.tasks import Task, get_task


@dataclass(frozen=True)
class Recording:
    """The pictures of one episode.

    Attributes:
        seed: the episode's seed.
        success: whether the task was done.
        length: control steps.
        frames: one picture at the start and after every `every` steps, uint8 (frames, height, width, 3).
        every: control steps between pictures.
        fps: pictures per second of the robot's time.
    """

    seed: int
    success: bool
    length: int
    frames: np.ndarray
    every: int
    fps: float


def film_episode(
    episode: Episode, task: Task | str, camera: str = "agentview", size: int = 256, every: int = 2
) -> Recording:
    """Play an episode again and take pictures.

    Args:
        episode: an episode of a rollout.
        task: the task or its name.
        camera: see `ManipulationEnv.render_frame`.
        size: height and width of the pictures in pixels.
        every: control steps between pictures; one more shows the end.

    Raises:
        ConfigError: if the episode's actions were not kept.
        SimulatorError: if there is no renderer, or the episode does not come out as it did.
    """
    from ddpm_edu.simulation.env import make_env

    task = get_task(task)
    if episode.actions is None:
        raise ConfigError(f"the actions of episode {episode.seed} were not kept; play it with rollout(...)")
    simulator = make_env(task)
    try:
        simulator.reset(seed=episode.seed)
        frames, info = [simulator.render_frame(size, size, camera)], {"success": False}
        for step, action in enumerate(episode.actions, 1):  # (Da,)
            *_, info = simulator.step(action)
            if step % every == 0 or step == len(episode.actions):
                frames.append(simulator.render_frame(size, size, camera))
    finally:
        simulator.close()
    if info["success"] != episode.success:
        raise SimulatorError(
            f"episode {episode.seed} ended with success = {episode.success}, and played again with "
            f"{info['success']}; was it played by other versions, or on another kind of processor?"
        )
    return Recording(
        episode.seed, episode.success, len(episode.actions), np.stack(frames), every,
        task.control_frequency / every,
    )  # fmt: skip


def film_episodes(
    episodes: list[Episode],
    task: Task | str,
    camera: str = "agentview",
    size: int = 256,
    every: int = 2,
    workers: int | None = None,
    progress: bool = True,
) -> list[Recording]:
    """`film_episode` for several, in processes.

    Args:
        episodes: episodes of a rollout.
        task: the task or its name.
        camera: see `ManipulationEnv.render_frame`.
        size: height and width of the pictures in pixels.
        every: control steps between pictures.
        workers: processes; by default one for each core.
        progress: show a progress bar on stderr.

    Raises:
        ConfigError: if an episode's actions were not kept.
        SimulatorError: if there is no renderer, or processes keep dying or hanging.
    """
    if not episodes:
        return []
    task = get_task(task)
    film = partial(film_episode, task=task, camera=camera, size=size, every=every)
    films: dict[int, Recording] = {}
    with (
        Workers(
            min(workers or default_workers(), len(episodes)),
            partial,
            (_film, film),
            lambda piece: f"the film of episode {piece[1].seed}",
        ) as pool,
        tqdm(total=len(episodes), desc=f"{task.title} video", unit="episode", disable=not progress) as bar,
    ):
        for (index, _), recording in pool.work(enumerate(episodes)):
            films[index] = recording
            bar.update()
    return [films[index] for index in range(len(episodes))]


def _film(film: Callable[[Episode], Recording], piece: tuple[int, Episode]) -> Recording:
    return film(piece[1])


def choose_episodes(episodes: tuple[Episode, ...], count: int) -> list[Episode]:
    """Which episodes to watch: as many successes as failures, as far as there are; successes first."""
    successes = [episode for episode in episodes if episode.success]
    failures = [episode for episode in episodes if not episode.success]
    failed = min(len(failures), max(count // 2, count - len(successes)))
    return [*successes[: count - failed], *failures[:failed]]
