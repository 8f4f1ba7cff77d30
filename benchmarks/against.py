"""Processor time of a training step, here and in another checkout of this repository.

    git worktree add /tmp/before 799b1e8
    python benchmarks/against.py /tmp/before [--repeats 15] [--steps 1] [--preset paper] [--batch-size 64]

Each checkout trains in a process of its own, from the same seed on the same demonstrations; they take turns,
so that other load on the machine meets both alike. Their losses and their memory are compared too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

_TRAINS = """
import json, resource, sys, tempfile, time, torch
torch.set_num_threads(1)
from ddpm_edu.presets import preset
from ddpm_edu.training.trainer import Trainer
trainer = Trainer(preset("can", **json.loads(sys.argv[1])), tempfile.mkdtemp())
answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    begin = time.process_time()
    losses = [trainer._train_step() for _ in range(int(line))]
    seconds = time.process_time() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(seconds / len(losses), float(losses[-1]), memory / 1024, file=answers, flush=True)
"""


def main() -> None:
    from interleaved import header, report

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--steps", type=int, default=1, help="of each repeat")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--observation", default="low_dim")
    parser.add_argument("--batch-size", type=int, help="default: the preset's")
    options = parser.parse_args()
    settings = {"name": options.preset, "observation": options.observation, "max_demonstrations": 20}
    if options.batch_size:
        settings["batch_size"] = options.batch_size
    header(options.repeats)
    here = Path(__file__).parents[1]
    for denoiser in ("unet", "transformer"):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", _TRAINS, json.dumps({**settings, "denoiser": denoiser})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=place,  # `-c` looks here first, before PYTHONPATH
                env={**os.environ, "PYTHONPATH": str(place.resolve()), "OMP_NUM_THREADS": "1"},
            )
            for place in (options.before, here)
        ]
        seconds: dict[str, list[tuple[float, float]]] = {"before": [], "here": []}
        losses: dict[str, list[float]] = {"before": [], "here": []}
        memory: dict[str, float] = {}
        for repeat in range(2 + options.repeats):  # the first two do not count
            for name, process in zip(seconds, processes, strict=True):
                process.stdin.write(f"{options.steps}\n")
                process.stdin.flush()
                took, loss, memory[name] = map(float, process.stdout.readline().split())
                losses[name].append(loss)
                if repeat >= 2:
                    seconds[name].append((took, took))
        for process in processes:
            process.stdin.close()
            process.wait()
        report(f"{denoiser}, {options.observation}, {options.preset}, a training step", seconds)
        apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
        print(
            f"{denoiser}: losses of {len(losses['here'])} steps at most {apart:.1e} apart; most memory, MB: "
            + ", ".join(f"{name} {most:,.0f}" for name, most in memory.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
