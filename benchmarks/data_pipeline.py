"""Batches per second: one gather for a batch, against one `__getitem__` for each sample and a DataLoader.

The plain pipeline is what most training code does: a map-style dataset slices and pads one window for each
key, converts images to float in [0, 1], and torch's DataLoader collates the samples. Low-dim keys and actions
lie in memory; images are read from the HDF5 file when a sample needs them, which is how robomimic trains on
images by default (`hdf5_cache_mode="low_dim"`). It is spared what makes others slower: the file is
uncompressed and in the page cache (the reference implementation decompresses JPEG 2000), and only the To
observations that the policy sees are read. "plain, in memory" also keeps all images in memory, as ours does.

All pipelines draw the same windows; their batches are compared, padding included, before anything is timed.
Timing ends where a training loop takes over: with floats on the plain side, and on ours with uint8 images,
which the policy normalises on the device where it computes. The last row of each table adds that
normalisation on the CPU, so that both sides end with floats. Each measurement runs in a process of its own,
as a training run does, and the pipelines take turns, so that other load on the machine meets each alike.
Ratios are to the faster of no and two worker processes.

    python benchmarks/data_pipeline.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.data.windows import Windows
from ddpm_edu.files import write_atomically
from ddpm_edu.tasks import CAN, ObservationMode

HORIZON, N_OBS_STEPS, N_ACTION_STEPS = 16, 2, 8
WANTED = {"low_dim": 10, "image": 25}
DEMONSTRATIONS = {"low_dim": 200, "image": 20}
LENGTH = 150

Batch = dict[str, Any]


class PlainWindows(Dataset):
    """One window for each index.

    Args:
        demonstrations: where the steps come from.
        file: read images from this copy of them, instead of from memory.
    """

    def __init__(self, demonstrations: Demonstrations, file: Path | None = None) -> None:
        self.arrays = {"action": demonstrations.action} | {
            # images in the memory order of the file, channels last
            name: np.moveaxis(values, 1, -1) if values.ndim == 4 else values
            for name, values in demonstrations.obs.items()
        }
        self.obs_keys = list(demonstrations.obs)
        self.file, self.opened = file, (0, None)
        self.windows: list[tuple[int, int, int, int]] = []
        for demo in range(len(demonstrations)):
            steps = demonstrations.steps(demo)
            for start in range(steps.start - (N_OBS_STEPS - 1), steps.stop - HORIZON + N_ACTION_STEPS):
                self.windows.append((demo, start, steps.start, steps.stop))

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        obs = {}
        for name in self.obs_keys:
            sample = self.window(name, index, N_OBS_STEPS)
            if sample.dtype == np.uint8:
                sample = np.moveaxis(sample, -1, 1).astype(np.float32) / 255.0
            obs[name] = torch.from_numpy(sample)
        return {"obs": obs, "action": torch.from_numpy(self.window("action", index, HORIZON))}

    def window(self, name: str, index: int, steps: int) -> np.ndarray:
        """So many steps of one key, its ends repeated where the window leaves the demonstration."""
        demo, start, begin, end = self.windows[index]
        first, last = max(start, begin), min(start + steps, end)
        values = self.arrays[name]
        if self.file is not None and values.ndim == 4:
            sample = self.open()[f"data/demo_{demo}/obs/{name}"][first - begin : last - begin]
        else:
            sample = values[first:last]
        before, after = first - start, start + steps - last
        if before == 0 and after == 0:
            return sample
        padded = np.empty((steps, *values.shape[1:]), values.dtype)
        padded[:before], padded[steps - after :] = sample[0], sample[-1]
        padded[before : steps - after] = sample
        return padded

    def open(self) -> h5py.File:
        """The file, opened once in each process."""
        if self.opened[0] != os.getpid():
            self.opened = (os.getpid(), h5py.File(self.file, "r"))
        return self.opened[1]


def write_images(demonstrations: Demonstrations, path: Path) -> None:
    """The images in robomimic's layout, uncompressed."""
    with h5py.File(path, "w") as file:
        for demo in range(len(demonstrations)):
            for name, values in demonstrations.obs.items():
                if values.ndim == 4:
                    image = np.moveaxis(values[demonstrations.steps(demo)], 1, -1)
                    file[f"data/demo_{demo}/obs/{name}"] = image


def make_demonstrations(observation: ObservationMode) -> Demonstrations:
    """Random numbers of a real dataset's size; what they are does not change the time."""
    count = DEMONSTRATIONS[observation]
    N, generator = count * LENGTH, np.random.default_rng(0)
    obs = {}
    for key in CAN.observation(observation):
        if key.type == "rgb":
            channels, height, width = key.shape
            image = generator.integers(0, 256, (N, height, width, channels), np.uint8)
            obs[key.name] = np.moveaxis(image, -1, 1)
        else:
            obs[key.name] = generator.normal(size=(N, *key.shape)).astype(np.float32)
    action = generator.uniform(-1, 1, (N, CAN.action_dim)).astype(np.float32)
    episode_ends = np.arange(1, count + 1, dtype=np.int64) * LENGTH
    names = [f"demo_{index}" for index in range(count)]
    return Demonstrations(CAN, observation, obs, action, episode_ends, names, Path("generated"))


def check_equal(plain: PlainWindows, windows: Windows, normalizer: Normalizer, batch_size: int) -> None:
    """Both pipelines must give the same batches, first and last windows (the padded ones) included."""
    assert len(plain) == len(windows), (len(plain), len(windows))
    W = len(windows)
    chosen = torch.cat([torch.arange(batch_size), torch.arange(W - batch_size, W), torch.randperm(W)[:512]])
    loader = DataLoader(plain, batch_size, sampler=chosen.tolist())
    for expected, indices in zip(loader, chosen.split(batch_size), strict=True):
        batch = windows.batch(indices)
        torch.testing.assert_close(batch["action"], expected["action"], rtol=0, atol=0)
        assert batch["obs"].keys() == expected["obs"].keys()
        for name, values in batch["obs"].items():
            if values.dtype == torch.uint8:
                torch.testing.assert_close(normalizer[name].normalize(values), 2 * expected["obs"][name] - 1)
            else:
                torch.testing.assert_close(values, expected["obs"][name], rtol=0, atol=0)


def plain_batches(plain: PlainWindows, batch_size: int, workers: int) -> Iterator[Batch]:
    """Endless batches of the plain pipeline."""
    loader = DataLoader(
        plain, batch_size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    while True:
        yield from loader


def our_batches(windows: Windows, batch_size: int) -> Iterator[Batch]:
    """Endless batches of ours."""
    for indices in windows.batches(batch_size):
        yield windows.batch(indices)


def normalised(batches: Iterator[Batch], normalizer: Normalizer) -> Iterator[Batch]:
    """The same batches, normalised on the CPU as the policy does."""
    for batch in batches:
        yield {
            **batch,
            "obs": normalizer.normalize(batch["obs"]),
            "action": normalizer["action"].normalize(batch["action"]),
        }


def rate(batches: Iterator[Batch], batch_size: int, seconds: float) -> float:
    """Samples per second over about so many seconds, after the first batches."""
    for _ in range(3):
        next(batches)  # starts workers, touches memory for the first time
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or count < 2:
        batch: Batch = next(batches)
        assert isinstance(batch["action"], Tensor)
        count += 1
    return count * batch_size / elapsed


def in_own_process(function: Callable[[], float]) -> float:
    """What a function returns in a process that ends afterwards: no allocator state is left to the next."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(function()))
    process.start()
    sender.close()
    value = receiver.recv()
    process.join()
    return value


def paired_ratio(rates: list[float], to: list[float]) -> float:
    """The median ratio of measurements taken in the same turn, under the same load."""
    return statistics.median(one / other for one, other in zip(rates, to, strict=True))


def measure(
    observation: ObservationMode, batch_size: int, repeats: int, seconds: float, folder: Path
) -> list[Batch]:
    """Times all pipelines over one dataset, in turn."""
    demonstrations = make_demonstrations(observation)
    windows = Windows(demonstrations, HORIZON, N_OBS_STEPS, N_ACTION_STEPS)
    normalizer = Normalizer.from_spec(CAN, observation).fit(demonstrations)
    plain = {"plain": PlainWindows(demonstrations)}
    if observation == "image":
        write_images(demonstrations, folder / "images.hdf5")
        plain = {
            "plain": PlainWindows(demonstrations, folder / "images.hdf5"),
            "plain, in memory": PlainWindows(demonstrations),
        }
    pipelines: dict[str, Callable[[], Iterator[Batch]]] = {}
    for name, dataset in plain.items():
        check_equal(dataset, windows, normalizer, batch_size)
        pipelines[name] = partial(plain_batches, dataset, batch_size, 0)
        pipelines[f"{name}, 2 workers"] = partial(plain_batches, dataset, batch_size, 2)
    pipelines["ours"] = partial(our_batches, windows, batch_size)
    pipelines["ours, normalised"] = lambda: normalised(our_batches(windows, batch_size), normalizer)

    rates: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(repeats):
        for name, start in pipelines.items():

            def run(start: Callable[[], Iterator[Batch]] = start) -> float:
                return rate(start(), batch_size, seconds)

            rates[name].append(in_own_process(run))
    median = {name: statistics.median(values) for name, values in rates.items()}
    best = {name: max(name, f"{name}, 2 workers", key=median.__getitem__) for name in plain}
    return [
        {
            "observation": observation,
            "pipeline": name,
            "median": median[name],
            "min": min(values),
            "max": max(values),
            "ratio": paired_ratio(values, rates[best["plain"]]),
            "ratio_in_memory": paired_ratio(values, rates[best.get("plain, in memory", best["plain"])]),
        }
        for name, values in rates.items()
    ]


def machine() -> dict[str, str]:
    """What the numbers were taken on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":")[1].strip() for line in cpuinfo.open() if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "cpu": f"{model}, {os.cpu_count()} cores",
        "load": f"{os.getloadavg()[0]:.1f}",
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each pipeline and repeat")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()

    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(
        f"T/To/Ta {HORIZON}/{N_OBS_STEPS}/{N_ACTION_STEPS}, batch {arguments.batch_size}; samples per second"
    )
    print("| observation | pipeline | median | min to max | to plain | to plain in memory |")
    print("|---|---|---:|---:|---:|---:|")
    rows: list[Batch] = []
    with tempfile.TemporaryDirectory() as folder:
        for observation in ("low_dim", "image"):
            found = measure(
                observation, arguments.batch_size, arguments.repeats, arguments.seconds, Path(folder)
            )
            rows += found
            for row in found:
                spread = f"{row['min']:,.0f} to {row['max']:,.0f}"
                ratios = f"{row['ratio']:.1f}x | {row['ratio_in_memory']:.1f}x"
                print(f"| {observation} | {row['pipeline']} | {row['median']:,.0f} | {spread} | {ratios} |")
    if arguments.json:
        report = {"machine": about, "batch_size": arguments.batch_size, "rows": rows}
        with write_atomically(arguments.json) as file:
            file.write(json.dumps(report, indent=2).encode() + b"\n")
    missed = [
        f"{row['observation']} {row['ratio']:.1f}x, wanted {WANTED[row['observation']]}x"
        for row in rows
        if row["pipeline"] == "ours" and row["ratio"] < WANTED[row["observation"]]
    ]
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
