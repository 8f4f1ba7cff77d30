"""Damages files at random and lets commands read them: each ends soon, small, with 0 or one line.

    python benchmarks/fuzz.py                      a short form; tests/test_fuzz.py runs one
    python benchmarks/fuzz.py --mutants 10000 --readers --state done.jsonl   the long one; it goes on
    python benchmarks/fuzz.py hdf5 --only 17 --keep /tmp/kept      one mutant again; what failed is kept

Kind, seed and number alone decide a mutant. `judge` runs any command line under limits; another kind of file
is one more entry of `KINDS`. Commands run in forks of this process, which has run each of them on whole files
before: its libraries are loaded, its options are read. With `--readers` only one mutant of twenty is given to
a command. The others are given to what commands read such files with, one after the other in one process,
which is ended and replaced when a mutant hangs or kills it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import io
import json
import math
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from tqdm.auto import tqdm

from ddpm_edu import cli
from ddpm_edu.data import probe
from ddpm_edu.data.comparison import differences
from ddpm_edu.data.demonstrations import read_split
from ddpm_edu.data.inspection import inspect
from ddpm_edu.data.object_layout import seen_from_hand
from ddpm_edu.data.split import split
from ddpm_edu.tasks import get_task
from ddpm_edu.training.checkpoint import load_policy, load_state, read_checkpoint
from ddpm_edu.training.log import RunLog, read_log

MEMORY = 2 * 2**30


@dataclass(frozen=True)
class Kind:
    """One kind of file to damage.

    Attributes:
        corpus: writes whole files into a folder and returns them: few and small.
        commands: the command lines to give a file to, with a folder to write into; mutants take turns.
        readers: what commands read such a file with, called with the file and the folder of the whole ones;
            mutants take turns.
    """

    corpus: Callable[[Path], list[Path]]
    commands: Callable[[Path, Path], list[list[str]]]
    readers: Sequence[Callable[[Path, Path], object]]


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
    said = re.sub(r"\n?[^\n|]*\d%\|[^\n]*", "", err)  # without progress bars
    if code == 2 and not re.fullmatch(r"\n*error: [^\n]+\n", said):
        return f"did not say one line: {said[:300]!r}"
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
        _limit_memory(memory)
        code = cli.main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def _warm(words: Sequence[str]) -> None:
    """Runs a command on a whole file in this process, which so has all that its forks need."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main(words)
    if code != 0:
        raise RuntimeError(f"{words} on a whole file ended with {code}: {said.getvalue()[-300:]}")


def read_all(
    numbers: Sequence[int], read: Callable[[int], object], seconds: float, memory: int = MEMORY
) -> Iterator[tuple[int, str | None]]:
    """Lets a fork read one mutant after the other; where one ends it, another fork goes on with the next.

    Args:
        numbers: of the mutants.
        read: makes and reads the mutant of a number.
        seconds: of the processor's time for each.
        memory: bytes for each, beyond what this process has.

    Yields:
        Each number, and what was wrong, or None.
    """
    left = list(numbers)
    while left:
        reading, writing = os.pipe()
        if not (child := os.fork()):
            os.close(reading)
            _read_all(left, read, seconds, memory, writing)
        os.close(writing)
        text, late = b"", False
        while not late:
            late = not select.select([reading], [], [], 30 * seconds)[0]
            if late or not (new := os.read(reading, 2**16)):
                break
            *lines, text = (text + new).split(b"\n")
            for line in lines:
                yield left.pop(0), line.decode() or None
        os.close(reading)
        if late:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if late:
            yield left.pop(0), f"did not end in {30 * seconds:g} s"
        elif os.WIFSIGNALED(status):
            yield left.pop(0), f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
        elif status:
            raise RuntimeError(f"the reading process ended with {os.WEXITSTATUS(status)}: see above")


def _read_all(
    numbers: Sequence[int], read: Callable[[int], object], seconds: float, memory: int, answers: int
) -> None:
    """Is the fork: a line for each mutant, empty if it was read or refused in one line."""
    code = 70
    try:
        if probe._helper is not None:
            probe._helper = (os.getpid(), probe._helper[1])
        _limit_memory(memory)
        for number in numbers:
            used = resource.getrusage(resource.RUSAGE_SELF)
            end = math.ceil(used.ru_utime + used.ru_stime + seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (end, resource.getrlimit(resource.RLIMIT_CPU)[1]))
            wrong, said = "", io.StringIO()
            try:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    read(number)
            except Exception as error:
                line = cli._mendable(error)
                if line is None or "\n" in line:
                    where = traceback.extract_tb(error.__traceback__)[-1]
                    wrong = f"raised {error!r:.300} in {where.filename}:{where.lineno}"
            os.write(answers, wrong.replace("\n", " ").encode(errors="replace") + b"\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _limit_memory(memory: int) -> None:
    with contextlib.suppress(OSError):  # elsewhere than on Linux
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))


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
    """Four looks at the file, its masks drawn anew, and a training of one step on it."""
    small = ["--steps", "1", "--batch-size", "4", "--down-dims", "8", "16"]
    small += ["--num-train-timesteps", "4", "--num-inference-steps", "2"]
    return [
        *[["data", "inspect", str(path)]] * 4,
        ["train", "--path", str(path), "--run-dir", str(out / "run"), *small],
        ["data", "split", str(path), "--overwrite"],
    ]


def _look(path: Path, _: Path) -> None:
    inspect(path)
    differences(path)


HDF5_READERS = (
    _look,
    _look,
    lambda path, _: read_split(path, "can"),
    lambda path, _: split(path, overwrite=True),
)


# ----------------------------------------------------------------- a run: JSON, log, safetensors


_TINY = ["--horizon", "4", "--n-action-steps", "2", "--down-dims", "8", "16", "--n-groups", "4"]
_TINY += ["--diffusion-step-embed-dim", "8", "--batch-size", "4", "--max-demonstrations", "1"]
_TINY += ["--num-train-timesteps", "4", "--num-inference-steps", "2", "--warmup-steps", "0"]


def run_corpus(folder: Path) -> list[Path]:
    """The files of a run of two steps, without digests, so that damage gets as far as it can."""
    run = folder / "run"
    data = hdf5_corpus(folder)[-1]
    words = ["train", *_TINY, "--steps", "2", "--log-every", "1", "--path", str(data), "--run-dir", str(run)]
    _warm(words)
    checkpoint = run / "checkpoints" / "step_00000002"
    about = json.loads((checkpoint / "policy.json").read_text())
    del about["sha256"]
    (checkpoint / "policy.json").write_text(json.dumps(about))
    return [run / "log.jsonl", *sorted(checkpoint.iterdir())]


def run_commands(path: Path, out: Path) -> list[list[str]]:
    """The run goes on, with a step more or without: it reads every file of its own."""
    whole = next(parent / "whole" for parent in path.parents if (parent / "whole").is_dir())
    run = out / "run"
    shutil.copytree(whole / "run", run)
    place = run if path.name == "log.jsonl" else run / "checkpoints" / "step_00000002"
    shutil.copy(path, place / path.name)
    words = ["train", *_TINY, "--log-every", "1", "--path", str(whole / "v110.hdf5"), "--run-dir", str(run)]
    return [[*words, "--steps", steps] for steps in ("2", "2", "2", "3")]


def read_run(path: Path, whole: Path) -> None:
    """What going on with a run, and letting its policy act, read of it."""
    run = whole.parent / "read"
    if not run.exists():
        shutil.copytree(whole / "run", run)
    place = run if path.name == "log.jsonl" else run / "checkpoints" / "step_00000002"
    kept = (place / path.name).read_bytes()
    shutil.copy(path, place / path.name)
    try:
        if path.name == "log.jsonl":
            read_log(run)
            RunLog(run, 2).close()
        else:
            policy = load_policy(run)
            if path.name != "policy.json":
                load_state(policy, read_checkpoint(run).weights, run)
    finally:
        (place / path.name).write_bytes(kept)


KINDS = {
    "hdf5": Kind(hdf5_corpus, hdf5_commands, HDF5_READERS),
    "run": Kind(run_corpus, run_commands, (read_run,)),
}


# ------------------------------------------------------------------------------------------- running


def fuzz(
    kind: str,
    numbers: Sequence[int],
    seed: int = 0,
    seconds: float = 10,
    keep: Path | None = None,
    by_readers: bool = False,
) -> Iterator[tuple[int, str | None]]:
    """Makes mutants of one kind and judges a command on each.

    Args:
        kind: of `KINDS`.
        numbers: of the mutants.
        seed: of all of them.
        seconds: that a command may take.
        keep: a folder for those that failed.
        by_readers: give only one mutant of twenty to a command.

    Yields:
        Each number, and what was wrong, or None.
    """
    chosen = KINDS[kind]
    tqdm.monitor_interval = 0  # its thread would not come into the forks
    cli._parsed = functools.cache(cli._parsed)  # command lines come again and again
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        whole = folder / "whole"
        whole.mkdir()
        files = chosen.corpus(whole)
        warm = set()
        for file in files:
            path = folder / file.name
            shutil.copy(file, path)
            shutil.rmtree(folder / "out", ignore_errors=True)
            for words in chosen.commands(path, folder / "out"):
                if tuple(words) not in warm:
                    warm.add(tuple(words))
                    _warm(words)
        gc.freeze()  # forks would copy what the collector touches

        def make(number: int) -> Path:
            file = files[number % len(files)]
            path = folder / file.name
            path.write_bytes(mutant(file.read_bytes(), np.random.default_rng((seed, number))))
            return path

        def command(number: int) -> list[str]:
            shutil.rmtree(folder / "out", ignore_errors=True)
            commands = chosen.commands(make(number), folder / "out")
            return commands[number // len(files) % len(commands)]

        def read(number: int) -> None:
            chosen.readers[number // len(files) % len(chosen.readers)](make(number), whole)

        for first in range(0, len(numbers), 200):
            group = numbers[first : first + 200]
            whole_way = group[::20] if by_readers else group
            found = [(number, judge(command(number), folder, seconds)) for number in whole_way]
            found += read_all([number for number in group if number not in whole_way], read, seconds)
            for number, wrong in found:
                if wrong and keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(make(number), keep / f"{seed}_{number}_{files[number % len(files)].name}")
                yield number, wrong and f"{kind}, seed {seed}, mutant {number}: {wrong}"


def _go_on(kind: str, numbers: range, seed: int, state: Path, *how: object) -> list[str]:
    """As `fuzz`; what is done is noted in `state`, a line of JSON for 200 of them, and is not repeated."""
    done = [json.loads(line) for line in state.read_text().splitlines()] if state.exists() else []
    done = [entry for entry in done if (entry["kind"], entry["seed"]) == (kind, seed)]
    wrong = [line for entry in done for line in entry["wrong"]]
    left = range(max([numbers.start, *(entry["end"] for entry in done)]), numbers.stop)
    news = []
    for count, (_, found) in enumerate(fuzz(kind, left, seed, *how), start=1):
        news += [found] if found else []
        if count % 200 == 0 or count == len(left):
            with state.open("a") as file:
                note = {
                    "kind": kind,
                    "seed": seed,
                    "end": left.start + count,
                    "wrong": news,
                    "cpu": _processor_time(),
                }
                file.write(json.dumps(note) + "\n")
            wrong, news = wrong + news, []
    return wrong


def _processor_time() -> float:
    """Seconds of this process and of all that it has waited for."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "kinds", nargs="*", default=list(KINDS), help=f"of {', '.join(KINDS)}; by default all"
    )
    parser.add_argument("--mutants", type=int, default=150, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--state", type=Path, help="where a long run notes what is done, to go on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", action="store_true", help="only one of twenty to a command: cheaper")
    parser.add_argument("--only", type=int, help="this mutant alone")
    parser.add_argument("--seconds", type=float, default=10, help="that a command may take")
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    options = parser.parse_args()
    failed = 0
    for kind in options.kinds:
        numbers = range(options.first, options.first + options.mutants)
        numbers = numbers if options.only is None else [options.only]
        start, how = time.monotonic(), (options.seconds, options.keep, options.readers)
        if options.state:
            wrong = _go_on(kind, numbers, options.seed, options.state, *how)
        else:
            wrong = [found for _, found in fuzz(kind, numbers, options.seed, *how) if found]
        took = f"{time.monotonic() - start:.0f} s, {_processor_time():.0f} s of the processor"
        print(*wrong, f"{kind}: {len(numbers)} mutants, {len(wrong)} failed, {took}", sep="\n", flush=True)
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
