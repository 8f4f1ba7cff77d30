"""How images are best kept in HDF5: size, time to write, to read a whole file, and to read single pictures.

The pictures are those of shipped demonstrations. Times are of this process on the CPU, so that other work on
the machine counts little; what is read comes from the page cache.

    OMP_NUM_THREADS=1 python benchmarks/compression.py --task can --demonstrations 4
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import h5py
import numpy as np

from ddpm_edu.paths import shipped_demonstrations

CAMERAS = ("agentview_image", "robot0_eye_in_hand_image")
ROWS = {
    "picture by picture": (1, 84),
    "10 pictures": (10, 84),
    "6 rows of all": (None, 6),
    "12 rows of all": (None, 12),
}
ROWS |= {"28 rows of all": (None, 28)}
FILTERS = {
    "lzf": {"compression": "lzf"},
    "gzip 1": {"compression": "gzip", "compression_opts": 1},
    "gzip 4": {"compression": "gzip", "compression_opts": 4},
    "gzip 9": {"compression": "gzip", "compression_opts": 9},
}
VARIANTS = [("picture by picture", name) for name in FILTERS]
VARIANTS += [("10 pictures", "gzip 4"), ("6 rows of all", "gzip 9")]
VARIANTS += [("12 rows of all", name) for name in FILTERS]
VARIANTS += [("28 rows of all", "gzip 4"), ("28 rows of all", "gzip 9")]


def measure(
    images: list[np.ndarray], chunk: str | None, packing: str | None, place: Path
) -> dict[str, object]:
    """Writes and reads the pictures (N, 84, 84, 3) once in one way."""
    began = time.process_time()
    with h5py.File(place, "w", libver=("v110", "v110")) as file:
        for index, values in enumerate(images):
            options = {} if packing is None else dict(FILTERS[packing])
            if chunk is not None:
                steps, rows = ROWS[chunk]
                options["chunks"] = (min(steps or len(values), len(values)), rows, 84, 3)
            file.create_dataset(str(index), data=values, **options)
    written = time.process_time() - began
    began = time.process_time()
    with h5py.File(place) as file:
        for index, values in enumerate(images):
            target = np.empty_like(values)
            file[str(index)].read_direct(target)
            assert np.array_equal(target, values)
    read = time.process_time() - began
    began, chance = time.process_time(), np.random.default_rng(0)
    with h5py.File(place) as file:
        for _ in range(10):
            dataset = file[str(chance.integers(len(images)))]
            dataset[int(chance.integers(len(dataset)))]
    single = (time.process_time() - began) / 10
    pictures = sum(map(len, images))
    return {
        "chunks": chunk or "contiguous",
        "filter": packing or "none",
        "bytes per picture": round(place.stat().st_size / pictures),
        "write, ms per picture": round(1000 * written / pictures, 3),
        "read all, ms per picture": round(1000 * read / pictures, 3),
        "read one, ms": round(1000 * single, 2),
    }


def main() -> None:
    """Measures every way on the pictures of one task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="can")
    parser.add_argument("--demonstrations", type=int, default=2)
    parser.add_argument("--write", type=Path, help="a JSON file for the result")
    options = parser.parse_args()
    with h5py.File(shipped_demonstrations(options.task, "image")) as file:
        images = [
            file[f"data/demo_{i}/obs/{camera}"][:]
            for i in range(options.demonstrations)
            for camera in CAMERAS
        ]
    with h5py.File(shipped_demonstrations(options.task, "low_dim")) as file:
        steps = int(file["data"].attrs["total"])
    rows = []
    print(f"{'chunks':20}{'filter':8}{'bytes':>8}{'write':>9}{'read':>9}{'one':>9}  200 demonstrations")
    with tempfile.TemporaryDirectory() as folder:
        for chunk, packing in [(None, None), *VARIANTS]:
            row = measure(images, chunk, packing, Path(folder) / "images.hdf5")
            row["200 demonstrations, MB"] = round(2 * steps * row["bytes per picture"] / 1e6)
            rows.append(row)
            numbers = [row[key] for key in list(row)[2:6]]
            print(
                f"{row['chunks']:20}{row['filter']:8}{numbers[0]:8}"
                + "".join(f"{n:9.3f}" for n in numbers[1:])
                + f"{row['200 demonstrations, MB']:8} MB", flush=True,
            )  # fmt: skip
    if options.write is not None:
        about = {
            "command": " ".join(["benchmarks/compression.py", *sys.argv[1:]]),
            "date": date.today().isoformat(),
            "machine": f"one thread, {platform.machine()}",
            "pictures": sum(map(len, images)),
        }
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(json.dumps({**about, "ways": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
