"""A policy acts in the simulator: many episodes at once, simulated in processes, decided in one batch.

What an episode becomes follows from the simulator's seed, the seed of the policy's noise, and the policy. It
does not depend on how many processes simulate, on the other episodes, or on how many there are.
Two things see to that. Each episode draws its noise from a stream of its own. And the policy always gets
batches of a multiple of 16 episodes: a network's last bits depend on the size of its batch (and, for other
sizes, on the place in it), and contact makes a different episode out of a last bit.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ddpm_edu.settings import at_least
from ddpm_edu.simulation.past_actions import past_actions
from ddpm_edu.simulation.results import Episode, RolloutResult
from ddpm_edu.simulation.simulators import Simulators
from ddpm_edu.simulation.slots import GO_ON, REST
from ddpm_edu.simulation.workers import default_workers
from ddpm_edu.tasks import ObservationMode, Task, get_task

if TYPE_CHECKING:
    from ddpm_edu.policy import DiffusionPolicy

BATCH = 16
"""Batches have a multiple of so many rows, see above."""
# Episodes in play count for the part of the step limit that they have used: otherwise the bar would stand
# still until the first one ends, and know no time to go.
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total} episodes [{elapsed}<{remaining}{postfix}]"


def rollout(
    policy: DiffusionPolicy,
    task: Task | str,
    episodes: int,
    first_seed: int = 100_000,
    workers: int | None = None,
    observation: ObservationMode | None = None,
    noise_seed: int = 0,
    progress: bool = True,
) -> RolloutResult:
    """Play episodes in the simulator.

    The policy sees the last To observations, decides on a chunk of Ta actions, and sees again after those.

    Workers are started by spawning, so a script that calls this needs the usual
    `if __name__ == "__main__":`. Notebooks need nothing.

    Args:
        policy: decides.
        task: the task or its name.
        episodes: how many to play.
        first_seed: the simulator's seed of the first episode; the others count up from it. Demonstrations
            of `ddpm-edu collect --seed 0` have smaller seeds: no policy is asked about a start it was shown.
        workers: processes that simulate; by default one for each core.
        observation: what the simulators show, "low_dim" or "image"; by default what the policy wants.
        noise_seed: seed of the policy's noise; another one gives other episodes from the same starts.
        progress: show a progress bar on stderr.

    Returns:
        The episodes, in the order of their seeds.

    Raises:
        ConfigError: if a number is out of range.
        SimulatorError: if the simulator cannot run here, or its processes keep dying or hanging.
    """
    task = get_task(task)
    observation = observation or policy.config.observation
    task.observation(observation)
    for name, value, least in (
        ("episodes", episodes, 1),
        ("first_seed", first_seed, 0),
        ("noise_seed", noise_seed, 0),
        ("workers", 1 if workers is None else workers, 1),
    ):
        at_least(name, value, least)
    workers = min(workers or default_workers(), episodes)
    rows = BATCH * math.ceil(workers / BATCH)
    run = _Run(policy, task, rows, first_seed, noise_seed, waiting=deque(range(episodes)))
    start = time.perf_counter()
    with tqdm(total=episodes, desc=f"{task.title} rollout", bar_format=_BAR, disable=not progress) as bar:
        bar.set_postfix_str("starting the simulators")
        with Simulators(task, observation, workers, rows, policy.n_obs_steps) as simulators:
            _play(run, simulators, bar)
    return RolloutResult(
        task=task.name,
        observation=observation,
        episodes=tuple(run.finished[index] for index in range(episodes)),
        noise_seed=noise_seed,
        inference_seconds=tuple(run.inference_seconds),
        batch_size=rows,
        chunks=run.chunks,
        seconds=time.perf_counter() - start,
        workers=workers,
        restarts=run.restarts,
    )


@dataclass
class _Playing:
    """An episode that is being played."""

    index: int
    noise: torch.Generator
    actions: list[np.ndarray] = field(default_factory=list)  # each (Da,)


@dataclass
class _Run:
    """What has been played and what is still to play."""

    policy: Any
    task: Task
    rows: int
    first_seed: int
    noise_seed: int
    waiting: deque[int]
    finished: dict[int, Episode] = field(default_factory=dict)
    inference_seconds: list[float] = field(default_factory=list)
    chunks: int = 0
    losses: Counter[int] = field(default_factory=Counter)
    restarts: int = 0

    def begin(self, index: int) -> _Playing:
        return _Playing(index, noise_stream(self.noise_seed, self.first_seed + index))

    def decide(self, playing: list[_Playing | None], observations: dict[str, np.ndarray]) -> np.ndarray:
        """The next chunk of every row (rows, Ta, Da), from {key: (rows, To, ...)}; one call for all."""
        device = self.policy.device
        generators = [torch.Generator() if episode is None else episode.noise for episode in playing]
        start = time.perf_counter()
        obs = {key: torch.tensor(value, device=device) for key, value in observations.items()}
        taken = [None if episode is None else episode.actions for episode in playing]
        past = past_actions(self.policy, self.task, observations, taken)
        action = self.policy.predict_action(obs, generator=generators, **past)["action"]  # (rows, Ta, Da)
        action = action.cpu().numpy()  # waits for the device
        self.inference_seconds.append(time.perf_counter() - start)
        self.chunks += sum(episode is not None for episode in playing)
        return action

    def end(self, episode: _Playing, success: bool) -> None:
        seed, actions = self.first_seed + episode.index, np.stack(episode.actions)  # (length, Da)
        self.finished[episode.index] = Episode(seed, success, len(actions), actions)


def _play(run: _Run, simulators: Simulators, bar: tqdm) -> None:
    observations: dict[str, np.ndarray] = {}
    playing: list[_Playing | None] = [None] * run.rows
    action = np.zeros((run.rows, run.policy.n_action_steps, run.policy.action_dim), np.float32)
    successes = 0
    while run.waiting or any(playing):
        seed = np.full(run.rows, REST)
        if any(playing):
            action = run.decide(playing, observations)  # (rows, Ta, Da)
        for row in simulators.fill_order:
            if playing[row] is not None:
                seed[row] = GO_ON
            elif run.waiting:
                playing[row] = run.begin(run.waiting.popleft())
                seed[row] = run.first_seed + playing[row].index
        status, lost = simulators.step(seed, action)
        observations = status.observations
        for number, rows in lost.items():
            _lose(run, simulators, number, [playing[row] for row in rows if playing[row] is not None])
            for row in rows:
                playing[row] = None
        for row in np.flatnonzero(seed == GO_ON):
            episode = playing[row]
            if episode is None:
                continue
            executed = status.length[row] - len(episode.actions)  # <= Ta: the episode's end cuts it short
            episode.actions.extend(action[row, :executed])
            if not status.running[row]:
                run.end(episode, bool(status.success[row]))
                playing[row] = None
                successes += bool(status.success[row])
        bar.set_postfix_str(f"{successes} succeeded", refresh=False)
        in_play = sum(len(episode.actions) for episode in playing if episode is not None)
        bar.update(len(run.finished) + in_play / run.task.max_steps - bar.n)


def _lose(run: _Run, simulators: Simulators, number: int, lost: list[_Playing]) -> None:
    """A process was lost with these episodes: another one begins them anew."""
    indices = sorted(episode.index for episode in lost)
    run.losses.update(indices)
    run.restarts += 1
    run.waiting.extendleft(reversed(indices))
    worst = max(indices, key=run.losses.__getitem__)
    seeds = "seeds " + ", ".join(str(run.first_seed + index) for index in indices)
    simulators.replace(number, seeds, run.losses[worst])


def noise_stream(noise_seed: int, seed: int) -> torch.Generator:
    """The noise of one episode; neighbouring seeds give unrelated streams."""
    mixed = np.random.SeedSequence((noise_seed, seed)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
