"""Broken and hostile files: one clear line and exit code 2, from a look at them and from training on them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu import cli
from ddpm_edu.data.comparison import differences
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.inspection import inspect
from ddpm_edu.errors import DatasetError

MASKS = {"train": ["demo_0", "demo_1"], "valid": ["demo_2"]}
Change = Callable[[h5py.File], object]


def swap(place: str, values: object, **options: object) -> Change:
    """Puts other values where a dataset stood."""

    def change(file: h5py.File) -> None:
        del file[place]
        file.create_dataset(place, data=values, **options)

    return change


def declare(place: str, shape: tuple[int, ...], dtype: object = np.float64, **options: object) -> Change:
    """Declares a dataset without writing a value."""

    def change(file: h5py.File) -> None:
        del file[place]
        file.create_dataset(place, shape, dtype, **options)

    return change


def entry(place: str, index: object, value: object) -> Change:
    return lambda file: file[place].__setitem__(index, value)


def remove(place: str) -> Change:
    return lambda file: file.__delitem__(place)


def attribute(place: str, name: str, value: object) -> Change:
    return lambda file: file[place].attrs.__setitem__(name, value)


def link(place: str, target: object) -> Change:
    def change(file: h5py.File) -> None:
        del file[place]
        file[place] = target

    return change


def everywhere(key: str, change: Callable[[str], Change]) -> Change:
    return lambda file: [change(f"data/{name}/{key}")(file) for name in list(file["data"])]


def emptied(file: h5py.File) -> None:
    file["data/demo_1"].attrs["num_samples"] = 0
    for key in ("actions", "states", *(f"obs/{name}" for name in file["data/demo_1/obs"])):
        shape = file[f"data/demo_1/{key}"].shape[1:]
        swap(f"data/demo_1/{key}", np.zeros((0, *shape)))(file)


def pickled(file: h5py.File) -> None:
    """Pickled objects, as numpy's own format would hold them."""
    values = np.frombuffer(b"cos\nsystem\n(S'touch /tmp/never'\ntR.", np.uint8)
    del file["data/demo_1/actions"]
    dataset = file["data/demo_1"].create_dataset("actions", (5,), h5py.vlen_dtype(np.uint8))
    dataset[0] = values


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((5, 7), np.float64)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (5, 7))
    del file["data/demo_1/actions"]
    file["data/demo_1"].create_virtual_dataset("actions", layout)


def outside(file: h5py.File) -> None:
    del file["data/demo_1/actions"]
    storage = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    file["data/demo_1"].create_dataset("actions", (5, 7), np.float64, external=storage)


def described(**changes: object) -> Change:
    """env_args with other arguments of the environment."""
    text = json.dumps({"env_name": "PickPlaceCan", "env_version": "1.5.1", "type": 1, "env_kwargs": changes})
    return attribute("data", "env_args", text)


BROKEN: dict[str, tuple[Change, str]] = {
    "no data": (remove("data"), "data is missing"),
    "data a dataset": (swap("data", [1.0]), "data is not a group"),
    "no demonstrations": (
        lambda file: [file.__delitem__(f"data/{name}") for name in list(file["data"])],
        "has no demonstrations",
    ),
    "numbers of thousands of digits": (
        lambda file: [file.move(f"data/{name}", f"data/{name}{'9' * 5000}") for name in list(file["data"])],
        "has no demonstrations",
    ),
    "no env_args": (lambda file: file["data"].attrs.__delitem__("env_args"), "env_args is missing"),
    "env_args not JSON": (attribute("data", "env_args", "{'env"), "env_args must be JSON"),
    "env_args bytes that are no text": (
        attribute("data", "env_args", np.void(b"\xff\xfe")),
        "env_args must be",
    ),
    "another robot": (described(robots=["IIWA"]), "was recorded with IIWA; the task needs one Panda"),
    "absolute actions": (
        described(controller_configs={"type": "OSC_POSE", "control_delta": False}),
        "has absolute actions",
    ),
    "a frequency beyond all numbers": (described(control_freq=10**400), "was recorded at inf control steps"),
    "a scale beyond all numbers": (
        described(controller_configs={"type": "OSC_POSE", "output_max": 10**400}),
        r"has actions of scale \[inf",
    ),
    "a scale with one of them": (
        described(controller_configs={"type": "OSC_POSE", "output_max": [1, 1, -(10**400), 1, 1, 1]}),
        r"has actions of scale \[1.0, 1.0, -inf",
    ),
    "no actions": (remove("data/demo_1/actions"), "demo_1/actions is missing"),
    "no key": (remove("data/demo_1/obs/object"), "object"),
    "no key anywhere": (everywhere("obs/object", remove), "obs/object is missing"),
    "no num_samples": (
        lambda file: file["data/demo_1"].attrs.__delitem__("num_samples"),
        "has no attribute num_samples",
    ),
    "num_samples too many": (attribute("data/demo_1", "num_samples", 500), "num_samples is 500"),
    "num_samples infinite": (attribute("data/demo_1", "num_samples", float("inf")), "must be a whole number"),
    "num_samples a fraction": (
        attribute("data/demo_1", "num_samples", 5.9),
        r"num_samples must be a whole number \(it is 5.9\)",
    ),
    "num_samples text": (attribute("data/demo_1", "num_samples", "five"), "must be a whole number"),
    "zero length": (emptied, "demo_1 has 0 steps"),
    "flat actions": (swap("data/demo_1/actions", np.zeros(35)), "demo_1/actions has"),
    "actions of another robot": (
        everywhere("actions", lambda at: swap(at, np.zeros((5, 14)))),
        "actions has shape",
    ),
    "one number": (swap("data/demo_1/actions", 0.5), r"demo_1/actions has shape \(\)"),
    "no value": (swap("data/demo_1/actions", h5py.Empty("f8")), "demo_1/actions has shape None"),
    "another width": (swap("data/demo_1/obs/object", np.zeros((5, 10))), r"demo_1/obs/object has .*\(.*10"),
    "fewer rows": (swap("data/demo_1/obs/robot0_eef_pos", np.zeros((4, 3))), "robot0_eef_pos has 4 steps"),
    "integers": (swap("data/demo_1/obs/object", np.zeros((5, 14), np.int32)), "dtype int32"),
    "complex numbers": (swap("data/demo_1/obs/object", np.zeros((5, 14), complex)), "object"),
    "texts": (swap("data/demo_1/actions", np.full((5, 7), b"0.1")), r"demo_1/actions has .*S3"),
    "records": (
        swap("data/demo_1/actions", np.zeros((5, 7), [("x", float), ("y", float)])),
        "demo_1/actions has .*'x'",
    ),
    "pickled objects": (pickled, r"demo_1/actions has (.*object|shape \(5,\))"),
    "object references": (
        lambda file: swap("data/demo_1/actions", np.full((5, 7), file["data"].ref), dtype=h5py.ref_dtype)(
            file
        ),
        "demo_1/actions has .*object",
    ),
    "NaN action": (entry("data/demo_1/actions", (2, 6), np.nan), r"demo_1/actions\[2, 6\] is nan"),
    "infinite observation": (entry("data/demo_1/obs/object", (4, 0), np.inf), r"obs/object\[4, 0\] is inf"),
    "action too large": (entry("data/demo_1/actions", (3, 0), 40.0), r"demo_1/actions\[3, 0\] is 40"),
    "quaternion not unit": (
        entry("data/demo_1/obs/robot0_eef_quat", 1, 0.1),
        r"robot0_eef_quat\[1\] has length",
    ),
    "mask names a missing one": (swap("mask/train", [b"demo_0", b"demo_7"]), "mask/train names demo_7"),
    "mask of numbers": (swap("mask/train", [1, 2]), "mask/train names 1"),
    "empty mask": (swap("mask/valid", np.array([], "S6")), "mask/valid names no demonstrations"),
    "mask a group": (
        lambda file: (remove("mask/train")(file), file.create_group("mask/train")),
        "mask/train is not",
    ),
    "external link to a key": (
        link("data/demo_1/obs/object", h5py.ExternalLink("/etc/passwd", "/x")),
        "obs/object is a link to /etc/passwd:/x; links are not followed",
    ),
    "external link to all": (
        link("data", h5py.ExternalLink("other.hdf5", "/data")),
        "data is a link to other.hdf5",
    ),
    "soft link to itself": (
        link("data/demo_1/obs", h5py.SoftLink("/data/demo_1/obs")),
        "demo_1/obs is a link",
    ),
    "soft link to nothing": (link("data/demo_1/actions", h5py.SoftLink("/nowhere")), "actions is a link to"),
    "soft link in the mask": (link("mask/train", h5py.SoftLink("/mask/valid")), "mask/train is a link"),
    "virtual dataset": (virtual, "demo_1/actions keeps its values in other files"),
    "external storage": (outside, "demo_1/actions keeps its values in other files"),
    "petabytes declared": (
        declare("data/demo_1/actions", (10**13, 7), chunks=(1000, 7)),
        r"demo_1/actions (declares|has 1\d* steps)",
    ),
    "gigabytes declared": (
        declare("data/demo_1/obs/object", (10**8, 14), chunks=(1000, 14), compression="gzip"),
        r"obs/object (declares|has 1\d* steps)",
    ),
}


def said_by(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line that a command says about what the user can mend."""
    code = cli.main([*map(str, words)])
    said = capsys.readouterr().err
    assert code == 2, said
    assert said.count("\n") == 1, said
    assert said.startswith("error: ")
    return said


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_line_and_code_2(
    write_file, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    path = write_file([5, 5, 5], masks=MASKS)
    change, message = BROKEN[case]
    with h5py.File(path, "a") as file:
        change(file)
    train = ["train", "--path", path, "--run-dir", tmp_path / "run"]
    for words in (["data", "inspect", path], train):
        said = said_by(capsys, *words)
        assert re.search(message, said), said
        assert str(path) in said


def test_the_file_that_they_were_made_from_is_whole(write_file, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_file([5, 5, 5], masks=MASKS)
    assert cli.main(["data", "inspect", str(path)]) == 0
    assert capsys.readouterr().err == ""
    assert len(BROKEN) >= 30


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "HDF5"),
        (b"PK\x03\x04 a zip archive", "is not an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is not an HDF5 file"),
        (b"\x80\x04cos\nsystem\n", "is not an HDF5 file"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x89HDF\r\n\x1a\n" + bytes(4096), "HDF5"),
    ],
)
def test_what_is_no_hdf5_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "demonstrations.hdf5"
    path.write_bytes(content)
    assert message in said_by(capsys, "data", "inspect", path)
    assert message in said_by(capsys, "train", "--path", path, "--run-dir", tmp_path / "run")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
def test_a_truncated_file_is_one_line(
    write_file, tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    path = write_file([5, 5, 5], masks=MASKS)
    os.truncate(path, int(share * path.stat().st_size))
    assert str(path) in said_by(capsys, "data", "inspect", path)
    assert str(path) in said_by(capsys, "train", "--path", path, "--run-dir", tmp_path / "run")


def test_changed_bytes_end_in_numbers_or_one_line(write_file) -> None:
    """Thirty files with some bytes changed at random: each is read, or refused with a reason."""
    path = write_file([5, 5], masks={"train": ["demo_0"], "valid": ["demo_1"]}, compression="gzip")
    whole, chance, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(30):
        changed = bytearray(whole)
        for at in chance.integers(0, len(whole), 20):
            changed[at] = chance.integers(256)
        path.write_bytes(changed)
        for read in (inspect, differences, lambda file: Demonstrations.read(file, "can", filter_key="train")):
            lines = 0
            try:
                read(path)
            except DatasetError as error:
                lines = str(error).count("\n") + 1
                refused += 1
            assert lines <= 1
    assert refused > 12


def test_the_real_command_says_it_too(write_file) -> None:
    path = write_file([5, 5, 5], masks=MASKS)
    with h5py.File(path, "a") as file:
        file["data/demo_1/actions"][2, 6] = np.nan
    command = [Path(sys.executable).with_name("ddpm-edu"), "data", "inspect", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}: demo_1/actions[2, 6] is nan; values must be finite")
    assert done.stderr.count("\n") == 1
    assert "demonstrations  3 (demo_0 to demo_2)" in done.stdout


@pytest.mark.parametrize("where", ["data", "data/demo_0", "data/demo_0/obs", "mask", "attribute"])
def test_names_that_are_not_utf_8_are_one_line(where: str, write_file, capsys) -> None:
    path = write_file([4] * 3)
    with h5py.File(path, "a") as file:
        if where == "attribute":
            file["data/demo_0"].attrs[b"caf\xe9"] = 1
        else:
            file.require_group(where).create_dataset(b"demo_\xff", data=[1.0])
    code = cli.main(["data", "inspect", str(path)])
    said = capsys.readouterr()
    assert code == (0 if where == "attribute" else 2)
    assert where == "attribute" or "has a name that is not UTF-8" in said.err
    assert said.err.count("\n") == code // 2


def test_a_quaternion_too_long_for_a_number_is_one_line(write_file) -> None:
    path = write_file([4] * 3)
    with h5py.File(path, "a") as file:
        file["data/demo_0/obs/robot0_eef_quat"][0] = 1e30  # in float32, its square is none any more
    with pytest.raises(DatasetError, match=r"robot0_eef_quat\[0\] has length inf"):
        Demonstrations.read(path, "can")
