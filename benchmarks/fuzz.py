"""Damages files at random and lets commands read them: each ends soon, small, with 0 or one line.

    python benchmarks/fuzz.py                      a short form; tests/test_fuzz.py runs one
    python benchmarks/fuzz.py --mutants 10000      the long one
    python benchmarks/fuzz.py --first 500          the next ones
    python benchmarks/fuzz.py hdf5 --only 17 --keep /tmp/kept      one mutant again; what failed is kept

Kind, seed and number alone decide a mutant. `judge` runs any command line under limits; another kind of file
is one more entry of `KINDS`. Commands run in forks of this process, which has loaded the libraries.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ddpm_edu import cli
from ddpm_edu.data import probe
from ddpm_edu.data.object_layout import seen_from_hand
from ddpm_edu.tasks import get_task

MEMORY = 2 * 2**30


@dataclass(frozen=True)
class Kind:
    """One kind of file to damage.

    Attributes:
        corpus: writes whole files into a folder and returns them: few and small.
        commands: the command lines to give a file to, with a folder to write into; mutants take turns.
        load: imports what the commands need, once, before the forks.
    """

    corpus: Callable[[Path], list[Path]]
    commands: Callable[[Path, Path], list[list[str]]]
    load: Callable[[], object]


def judge(words: Sequence[object], folder: Path, seconds: float = 10, memory: int = MEMORY) -> str | None:
    """Runs a command line in a fork of this process, under limits.

    Args:
        words: what follows `ddpm-edu`.
        folder: where what it says is kept, in `stdout` and `stderr`.
        seconds: of its own processor time after which it is killed; on a busy machine it may wait for
            it, thirty times as long.
        memory: bytes that it may take beyond what this process has.

    Returns:
        None if it ended with 0, or with 2 and one line; else what was wrong.
    """
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
        _run([*map(str, words)], folder, memory)
    end, status = time.monotonic() + 30 * seconds, None
    while status is None and time.monotonic() < end:
        ended, found = os.waitpid(child, os.WNOHANG)
        status = found if ended else time.sleep(0.005)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return f"did not end in {30 * seconds:g} s"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return f"did not end in {seconds:g} s of the processor's time"
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    out, err = ((folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    code = os.WEXITSTATUS(status)
    if code not in (0, 2):
        return f"ended with {code}: {(err.splitlines() or [''])[-1][:300]}"
    if code == 2 and not re.fullmatch(r"error: [^\n]+\n", err):
        return f"did not say one line: {err[:300]!r}"
    if control := re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out + err):
        return f"sent {control[0]!r} to the terminal"
    return None


def _run(words: list[str], folder: Path, memory: int) -> None:
    """Becomes the command: what `python -m ddpm_edu` would do."""
    code = 70
    try:
        for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
            stream.flush()
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
        if probe._helper is not None:  # this process waits: its helper answers the fork
            probe._helper = (os.getpid(), probe._helper[1])
        with contextlib.suppress(OSError):  # elsewhere than on Linux
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
        code = cli.main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def mutant(whole: bytes, chance: np.random.Generator) -> bytes:
    """A file with up to twelve wounds: bits, bytes, runs, words from elsewhere, seldom a lost end."""
    data = bytearray(whole)
    for _ in range(int(chance.integers(1, 13))):
        at = int(chance.integers(len(data)))
        way = chance.integers(6)
        if way == 0:
            data[at] ^= 1 << int(chance.integers(8))
        elif way == 1:
            data[at] = int(chance.integers(256))
        elif way == 2:
            count = min(int(chance.integers(1, 17)), len(data) - at)
            data[at : at + count] = bytes([int(chance.choice([0, 255]))]) * count
        elif way == 3:  # an address or a length of the file's own in another's place
            at, source = at // 8 * 8, int(chance.integers(len(data))) // 8 * 8
            data[at : at + 8] = data[source : source + 8]
        elif way == 4:
            at = at // 8 * 8
            data[at : at + 8] = int(chance.integers(2**63)).to_bytes(8, "little")
        elif chance.integers(8) == 0:
            del data[max(1, at) :]
    return bytes(data)


# ---------------------------------------------------------------------------------------------- HDF5


def hdf5_corpus(folder: Path) -> list[Path]:
    """Demonstrations in HDF5's old and new layouts, contiguous and packed, texts of fixed and free length."""
    files = []
    for number, (version, packed) in enumerate((("earliest", False), ("latest", True), ("v110", True))):
        path, chance = folder / f"{version}.hdf5", np.random.default_rng(number)
        options = {"compression": "gzip", "shuffle": True, "chunks": True} if packed else {}
        with h5py.File(path, "w", libver=(version, "latest")) as file:
            file["mask/train"] = np.array(["demo_0", "demo_2"], "S" if packed else h5py.string_dtype())
            file["mask/valid"] = np.array(["demo_1"], "S")
            data = file.create_group("data")
            data.attrs["env_args"] = json.dumps(
                {"env_name": "PickPlaceCan", "env_version": "1.5.2", "type": 1, "env_kwargs": {}}
            )
            for name in ("demo_0", "demo_1", "demo_2"):
                group = data.create_group(name)
                group.attrs.update(num_samples=6, model_file="<mujoco/>")
                group.create_dataset("actions", data=chance.uniform(-1, 1, (6, 7)), **options)
                group.create_dataset("states", data=chance.normal(size=(6, 71)), **options)
                hand, quat = chance.normal(size=(6, 3)), np.tile([1.0, 0, 0, 0], (6, 1))
                world = np.concatenate([chance.normal(size=(6, 3)), quat], axis=-1)
                object = np.concatenate([world, seen_from_hand(world, hand, quat)], axis=-1)
                values = (object, hand, quat, chance.uniform(0, 0.04, (6, 2)))
                for key, value in zip(get_task("can").low_dim, values, strict=True):
                    group.create_dataset(f"obs/{key.name}", data=value.astype(np.float32), **options)
        files.append(path)
    return files


def hdf5_commands(path: Path, out: Path) -> list[list[str]]:
    """A look at the file, and a training of one step on it."""
    small = ["--steps", "1", "--batch-size", "4", "--down-dims", "8", "16"]
    small += ["--num-train-timesteps", "4", "--num-inference-steps", "2"]
    return [
        ["data", "inspect", str(path)],
        ["train", "--path", str(path), "--run-dir", str(out / "run"), *small],
        ["data", "split", str(path)],
    ]


def _load_training() -> None:
    # The first optimiser and the first log would load these, in every fork anew.
    import torch._dynamo
    import torch.utils.tensorboard  # noqa: F401

    import ddpm_edu.commands.train
    import ddpm_edu.data.comparison
    import ddpm_edu.data.inspection
    import ddpm_edu.training.trainer  # noqa: F401


# ----------------------------------------------------------------- a run: JSON, log, safetensors


_TINY = ["--horizon", "4", "--n-action-steps", "2", "--down-dims", "8", "16", "--n-groups", "4"]
_TINY += ["--diffusion-step-embed-dim", "8", "--batch-size", "4", "--max-demonstrations", "1"]
_TINY += ["--num-train-timesteps", "4", "--num-inference-steps", "2", "--warmup-steps", "0"]


def run_corpus(folder: Path) -> list[Path]:
    """The files of a run of two steps, without digests, so that damage gets as far as it can."""
    run = folder / "run"
    data = hdf5_corpus(folder)[-1]
    words = ["train", *_TINY, "--steps", "2", "--log-every", "1", "--path", str(data), "--run-dir", str(run)]
    if wrong := judge(words, folder, 300):
        raise RuntimeError(f"{words} {wrong}")
    checkpoint = run / "checkpoints" / "step_00000002"
    about = json.loads((checkpoint / "policy.json").read_text())
    del about["sha256"]
    (checkpoint / "policy.json").write_text(json.dumps(about))
    return [run / "log.jsonl", *sorted(checkpoint.iterdir())]


def run_commands(path: Path, out: Path) -> list[list[str]]:
    """The run goes on: it reads every file of its own."""
    whole = next(parent / "whole" for parent in path.parents if (parent / "whole").is_dir())
    run = out / "run"
    shutil.copytree(whole / "run", run)
    place = run if path.name == "log.jsonl" else run / "checkpoints" / "step_00000002"
    shutil.copy(path, place / path.name)
    longer = ["train", *_TINY, "--steps", "3", "--log-every", "1", "--path", str(whole / "v110.hdf5")]
    return [[*longer, "--run-dir", str(run)]]


KINDS = {
    "hdf5": Kind(hdf5_corpus, hdf5_commands, _load_training),
    "run": Kind(run_corpus, run_commands, _load_training),
}


# ------------------------------------------------------------------------------------------- running


def fuzz(
    kind: str,
    numbers: Sequence[int],
    seed: int = 0,
    seconds: float = 10,
    keep: Path | None = None,
) -> list[str]:
    """Makes mutants of one kind and judges a command on each.

    Args:
        kind: of `KINDS`.
        numbers: of the mutants.
        seed: of all of them.
        seconds: that a command may take.
        keep: a folder for those that failed.

    Returns:
        What was wrong, a line for each that failed.
    """
    chosen, wrong = KINDS[kind], []
    chosen.load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        whole = folder / "whole"
        whole.mkdir()
        files = chosen.corpus(whole)
        for file in files:
            shutil.rmtree(folder / "out", ignore_errors=True)
            for words in chosen.commands(file, folder / "out"):
                if found := judge(words, folder, 10 * seconds):
                    raise RuntimeError(f"{words} on the whole {file.name} {found}")
        for number in numbers:
            chance = np.random.default_rng((seed, number))
            file = files[number % len(files)]
            path = folder / file.name
            path.write_bytes(mutant(file.read_bytes(), chance))
            shutil.rmtree(folder / "out", ignore_errors=True)
            commands = chosen.commands(path, folder / "out")
            words = commands[number // len(files) % len(commands)]
            if found := judge(words, folder, seconds):
                wrong.append(f"{kind}, seed {seed}, mutant {number}: {' '.join(words[:2])} {found}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / f"{seed}_{number}_{path.name}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "kinds", nargs="*", default=list(KINDS), help=f"of {', '.join(KINDS)}; by default all"
    )
    parser.add_argument("--mutants", type=int, default=150, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first; a long run can go on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this mutant alone")
    parser.add_argument("--seconds", type=float, default=10, help="that a command may take")
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    options = parser.parse_args()
    failed = 0
    for kind in options.kinds:
        numbers = range(options.first, options.first + options.mutants)
        numbers = numbers if options.only is None else [options.only]
        start = time.monotonic()
        wrong = fuzz(kind, numbers, options.seed, options.seconds, options.keep)
        print("\n".join([*wrong, f"{kind}: {len(numbers)} mutants, {len(wrong)} failed, "
                         f"{time.monotonic() - start:.0f} s"]), flush=True)  # fmt: skip
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
