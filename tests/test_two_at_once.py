"""Each command that writes, started twice at the same moment: what stands there then is what one leaves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu.paths import shipped_demonstrations, shipped_policy

TWO = 2


def twice(*words: object) -> list[int]:
    """Starts a command twice at once; returns the exit codes, 0 first."""
    command = [sys.executable, "-m", "ddpm_edu", *map(str, words)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(TWO)]
    codes = []
    for process in both:
        error = process.communicate(timeout=280)[1].decode()
        assert process.returncode in (0, 2), error
        assert process.returncode == 0 or error.splitlines()[-1].startswith("error: ")
        codes.append(process.returncode)
    assert 0 in codes
    return sorted(codes)


def same_content(one: Path, other: Path) -> bool:
    """Whether two HDF5 files hold the same arrays and attributes under the same names."""

    def listed(path: Path) -> dict[str, object]:
        found: dict[str, object] = {}

        def note(name: str, member: h5py.Group | h5py.Dataset) -> None:
            for key, value in member.attrs.items():
                found[f"{name}@{key}"] = str(value)
            if isinstance(member, h5py.Dataset):
                found[name] = np.asarray(member[()]).tobytes()

        with h5py.File(path) as file:
            file.visititems(note)
        return found

    return listed(one) == listed(other)


def nothing_is_left(folder: Path) -> bool:
    """No lock, and nothing half written."""
    return not [path for path in folder.rglob("*") if path.suffix in (".lock", ".partial")]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two demonstrations, by two collections at once; and again by one, which is the same."""
    folder = tmp_path_factory.mktemp("collected")
    words = ("collect", "--task", "lift", "--n", 2, "--workers", 1, "--out")
    twice(*words, folder / "two.hdf5")
    subprocess.run(
        [sys.executable, "-m", "ddpm_edu", *map(str, words), str(folder / "one.hdf5")],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.slow
def test_collect(collected: Path) -> None:
    assert same_content(collected / "one.hdf5", collected / "two.hdf5")
    assert nothing_is_left(collected)


@pytest.mark.slow
def test_render(collected: Path, tmp_path: Path) -> None:
    twice("data", "render", collected / "one.hdf5", "--out", tmp_path / "seen.hdf5", "--workers", 1)
    with h5py.File(collected / "one.hdf5") as unseen, h5py.File(tmp_path / "seen.hdf5") as seen:
        actions = unseen["data/demo_0/actions"][()]
        np.testing.assert_array_equal(seen["data/demo_0/actions"][()], actions)
        pictures = seen["data/demo_0/obs/agentview_image"]
        assert pictures.shape == (len(actions), 84, 84, 3)
        assert pictures[-1].std() > 0
    assert nothing_is_left(tmp_path)


@pytest.mark.slow
def test_split(tmp_path: Path) -> None:
    path = tmp_path / "demonstrations.hdf5"
    shutil.copy(shipped_demonstrations("square", "image"), path)
    with h5py.File(path, "r+") as file:
        del file["mask"]
        names = sorted(file["data"])
    twice("data", "split", path)
    with h5py.File(path) as file:
        chosen = [name.decode() for mask in ("train", "valid") for name in file[f"mask/{mask}"][()]]
    assert sorted(chosen) == names
    assert nothing_is_left(tmp_path)


@pytest.mark.slow
def test_export_and_contact_sheet(tmp_path: Path) -> None:
    can = shipped_policy("can_transformer")
    assert twice("export", can, "--out", tmp_path / "policy.onnx")[0] == 0
    pictures = shipped_demonstrations("square", "image")
    twice("data", "inspect", pictures, "--contact-sheet", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes()[-8:-4] == b"IEND"  # a whole PNG
    assert (tmp_path / "policy.onnx").stat().st_size > 4_000_000  # 1.2 million weights
    assert nothing_is_left(tmp_path)
