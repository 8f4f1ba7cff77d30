"""Downloading, collecting, rendering and training, killed with SIGKILL at random moments: is anything lost?

Each work is begun again after each kill, and killed again; the last time it may end. After every kill the
file must be missing, or whole and equal to that of a run that nobody disturbed, and every demonstration that
is kept beside it must be readable. A training's newest checkpoint must be readable after every kill, and its
last one equal to that of a run that nobody disturbed, bit by bit.

The works run in forks of this process, which has loaded the libraries: what is killed is the work.

    OMP_NUM_THREADS=1 python benchmarks/kill_resume.py --kills 20
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import h5py

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from local_hub import serving
from official_layout import write_official

from ddpm_edu.data.download import download, hub_path
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.presets import preset
from ddpm_edu.simulation.collect import collect
from ddpm_edu.simulation.kept import load_demonstration
from ddpm_edu.simulation.render_file import render
from ddpm_edu.third_party import import_robosuite
from ddpm_edu.training.checkpoint import list_checkpoints, read_checkpoint
from ddpm_edu.training.log import read_log
from ddpm_edu.training.trainer import Trainer


def contents(path: Path) -> dict[str, object]:
    """Every value of an HDF5 file, as bytes."""
    found: dict[str, object] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, member: (
                found.update({name: member[()].tobytes()}) if hasattr(member, "shape") else None
            )
        )
    return found


def fork(work: Callable[[], object]) -> int:
    """Runs the work in a process of its own; returns its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 2)
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def torture(
    name: str, work: Callable[[Path], object], folder: Path, kills: int, seed: int
) -> dict[str, object]:
    """Kills a work so many times, lets it end, and reports; raises where something was lost."""
    began = time.perf_counter()
    reference = folder / "undisturbed.hdf5"
    child = fork(lambda: work(reference))
    assert os.waitpid(child, 0)[1] == 0, f"{name} fails even undisturbed"
    duration = time.perf_counter() - began
    wanted, out = contents(reference), folder / "killed.hdf5"
    chance, hits, moments, kept_after = random.Random(seed), 0, [], []
    while hits < kills:
        moment = chance.uniform(0, duration)
        child = fork(lambda: work(out))
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            hits += 1
            moments.append(round(moment, 2))
        else:
            assert status == 0, f"{name} failed"
        if out.exists():
            assert contents(out) == wanted, f"{name}: the file is there but is not whole"
            out.unlink()  # finished before it was killed: from the start once more
        kept = [
            path for kind in ("attempts", "rendered") for path in folder.glob(f"killed.hdf5.{kind}/*.zip")
        ]
        for path in kept:
            load_demonstration(path)
        partial = sum(path.stat().st_size for path in folder.glob("killed.hdf5.*.partial"))
        kept_after.append(len(kept) or partial)
        print(f"{name}: {hits} kills, the last after {moment:.2f} s; kept {kept_after[-1]}", flush=True)
    child = fork(lambda: work(out))
    assert os.waitpid(child, 0)[1] == 0, f"{name} does not go on"
    assert contents(out) == wanted, f"{name}: the file differs from that of an undisturbed run"
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["killed.hdf5", "undisturbed.hdf5"], left
    result = {
        "kills": hits,
        "undisturbed, s": round(duration, 1),
        "killed after, s": moments,
        "kept after each kill": kept_after,
        "equal to an undisturbed run": True,
    }
    print(
        f"{name}: {hits} kills, nothing lost, nothing half-written; the file equals an undisturbed run's",
        flush=True,
    )
    return result


def torture_training(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """The same for a small training, whose steps, checkpoints and validations take a few seconds."""
    small = {"horizon": 8, "n_action_steps": 4, "down_dims": (16, 32), "n_groups": 4, "batch_size": 16}
    often = {"steps": 300, "warmup_steps": 5, "log_every": 1, "validate_every": 20, "checkpoint_every": 7}
    config = preset("can", **small, **often, diffusion_step_embed_dim=16, max_demonstrations=5)

    def work(run: Path) -> object:
        return Trainer(config, run).run(progress=False)

    def weights(run: Path) -> dict[str, bytes]:
        places = (list_checkpoints(run / "checkpoints")[-1], run / "checkpoints" / "best")
        return {
            f"{place.name}/{path.name}": path.read_bytes()
            for place in places
            for path in sorted(place.glob("*.safetensors"))
        }

    whole, run = folder / "undisturbed", folder / "killed"
    began = time.perf_counter()
    child = fork(lambda: work(whole))
    assert os.waitpid(child, 0)[1] == 0, "train fails even undisturbed"
    duration = time.perf_counter() - began
    chance, moments, steps = random.Random(seed), [], []
    while len(moments) < kills:
        moment = chance.uniform(0, duration / 2)
        child = fork(lambda: work(run))
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            assert status == 0, "train failed"
            assert weights(run) == weights(whole), "train: the weights differ from an undisturbed run's"
            shutil.rmtree(run)  # finished before it was killed: from the start once more
            continue
        moments.append(round(moment, 2))
        steps.append(read_checkpoint(run).step if list_checkpoints(run / "checkpoints") else 0)
        print(f"train: {len(moments)} kills, the last after {moment:.2f} s; at step {steps[-1]}", flush=True)
    child = fork(lambda: work(run))
    assert os.waitpid(child, 0)[1] == 0, "train does not go on"
    assert weights(run) == weights(whole), "train: the weights differ from an undisturbed run's"
    losses = [[entry.get("loss") for entry in read_log(place)] for place in (whole, run)]
    assert losses[0] == losses[1], "train: the log differs from an undisturbed run's"
    print(f"train: {kills} kills; weights, optimiser and log equal an undisturbed run's", flush=True)
    return {
        "kills": kills,
        "undisturbed, s": round(duration, 1),
        "killed after, s": moments,
        "step of the newest checkpoint": steps,
        "equal to an undisturbed run": True,
    }


def main() -> None:
    """Runs the works that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs="+", default=["download", "collect", "render", "train"])
    parser.add_argument("--write", type=Path, help="a JSON file for the result")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        published = write_official(
            shipped_demonstrations("can"), root / "published.hdf5", demonstrations=range(3)
        )
        raw = write_official(
            shipped_demonstrations("can"), root / "raw.hdf5", demonstrations=range(4), raw=True
        )
        with h5py.File(raw, "a") as file:  # a few steps of each, so that there is something to kill between
            for group in file["data"].values():
                group.attrs["num_samples"] = 8
                for key in ("actions", "states", "rewards", "dones"):
                    values = group[key][:8]
                    del group[key]
                    group[key] = values
        if {"collect", "render"} & set(options.work):
            import_robosuite()
        with serving({hub_path("can"): published}) as hub:
            hub.pause = 0.1
            os.environ["HF_ENDPOINT"] = hub.endpoint
            works = {
                "download": lambda out: download("can", out=out),
                "collect": lambda out: collect("can", 3, out, progress=False),
                "render": lambda out: render(raw, out, progress=False),
            }
            for name in options.work:
                (root / name).mkdir()
                if name == "train":
                    results[name] = torture_training(root / name, options.kills, options.seed)
                    continue
                results[name] = torture(name, works[name], root / name, options.kills, options.seed)
    if options.write is not None:
        about = {
            "command": " ".join(["benchmarks/kill_resume.py", *sys.argv[1:]]),
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "seed": options.seed,
        }
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
