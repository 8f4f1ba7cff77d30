"""What demonstrations with pictures cost, and where the time goes: CPU milliseconds of one control step.

    python benchmarks/collecting.py --task can

An expert's attempts are recorded with and without cameras; each camera is then rendered alone, as the package
does it and as robosuite does it. CPU time of the process, the renderer's own threads included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ddpm_edu.simulation.env import CAMERAS, IMAGE_SIZE, ManipulationEnv, make_env
from ddpm_edu.simulation.episodes import record_attempt


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="can")
    parser.add_argument("--demonstrations", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=40, help="of each camera")
    arguments = parser.parse_args()
    print(f"| {arguments.task} | CPU ms |\n|---|---|")
    recorded = {}
    for mode in ("low_dim", "image"):
        env = make_env(arguments.task, mode)
        record_attempt(env, 0)  # imports and first compilations
        started, steps = time.process_time(), 0
        for seed in range(1, 1 + arguments.demonstrations):
            steps += len(record_attempt(env, seed)[0].actions)
        spent = time.process_time() - started
        recorded[mode] = spent / arguments.demonstrations
        print(
            f"| a step, {'both cameras' if mode == 'image' else 'state only'} | {1000 * spent / steps:.1f} |"
        )
        env.close()
    for fast in (True, False):
        env = make_env(arguments.task, "image", fast_rendering=fast)
        env.reset(seed=1)
        for camera in CAMERAS:
            spent = _median(lambda: _turn(env), lambda: _picture(env, camera), arguments.pictures)  # noqa: B023
            way = "here" if fast else "robosuite's way"
            print(f"| a picture of {camera}, {way} | {1000 * spent:.1f} |")
        env.close()
    for n in (200, 500, 1000):
        seen, unseen = (n * recorded[mode] / 60 for mode in ("image", "low_dim"))
        print(f"{n} demonstrations: {seen:.0f} CPU minutes; {unseen:.0f} without pictures")


def _turn(env: ManipulationEnv) -> None:
    env.step(np.array([0.1, 0, 0, 0, 0, 0, -1.0]))


def _picture(env: ManipulationEnv, camera: str) -> None:
    env.render_frame(IMAGE_SIZE, IMAGE_SIZE, camera)


def _median(before: Callable[[], Any], work: Callable[[], Any], times: int) -> float:
    spent = []
    for _ in range(times):
        before()
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return float(np.median(spent))


if __name__ == "__main__":
    main()
