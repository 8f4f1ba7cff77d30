"""Masks that are added to a file: what they name, and that the file is never half."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from ddpm_edu import cli
from ddpm_edu.data import split as split_module
from ddpm_edu.data.demonstrations import read_split
from ddpm_edu.data.split import split
from ddpm_edu.errors import ConfigError, DatasetError


def test_a_file_without_masks_is_divided_and_can_be_trained_on(write_file, capsys) -> None:
    path = write_file([4] * 10)
    assert cli.main(["data", "inspect", str(path)]) == 0
    assert f"no masks: choose what is held out with ddpm-edu data split {path}" in capsys.readouterr().out
    assert cli.main(["data", "split", str(path), "--valid-fraction", "0.3", "--seed", "1"]) == 0
    assert "mask/train names 7, mask/valid 3 demonstrations" in capsys.readouterr().out
    train, valid = read_split(path, "can")
    assert (len(train), len(valid)) == (7, 3)
    assert not set(train.names) & set(valid.names)
    again = write_file([4] * 10, name="again.hdf5")
    split(again, 0.3, seed=1)
    assert read_split(again, "can")[1].names == valid.names
    split(again, 0.3, seed=2, overwrite=True)
    assert read_split(again, "can")[1].names != valid.names


def test_other_masks_and_all_else_stay(write_file) -> None:
    path = write_file([4] * 5, masks={"train": ["demo_0"], "better": ["demo_1"]})
    with pytest.raises(ConfigError, match="has the mask train already; --overwrite replaces it"):
        split(path)
    split(path, train_mask="better_train", valid_mask="better_valid")
    with h5py.File(path) as file:
        assert file["mask/better"][:].tolist() == [b"demo_1"]
        assert file["mask/train"][:].tolist() == [b"demo_0"]
        assert len(file["mask/better_train"]) == 4
        assert file["data/demo_4/actions"].shape == (4, 7)


def test_a_split_that_another_call_made_meanwhile_is_not_replaced(write_file, monkeypatch) -> None:
    path, lock = write_file([4] * 10), split_module.only_writer

    @contextlib.contextmanager
    def late(path: Path) -> Iterator[None]:  # the other call comes between this one's start and its lock
        with monkeypatch.context() as patched:
            patched.setattr(split_module, "only_writer", lock)
            split(path, 0.3, seed=1)
        with lock(path):
            yield

    monkeypatch.setattr(split_module, "only_writer", late)
    with pytest.raises(ConfigError, match="has the mask train already; --overwrite replaces it"):
        split(path, 0.3, seed=2)
    monkeypatch.undo()
    again = write_file([4] * 10, name="again.hdf5")
    split(again, 0.3, seed=1)
    assert read_split(path, "can")[1].names == read_split(again, "can")[1].names


def test_a_missing_file_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.hdf5 does not exist; name a robomimic HDF5 file"):
        split(tmp_path / "folder" / "none.hdf5")
    assert not list(tmp_path.iterdir())


def test_a_split_that_fails_leaves_the_file_as_it_was(write_file, monkeypatch, tmp_path: Path) -> None:
    path = write_file([4] * 5)
    before = path.read_bytes()

    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy", full)
    with pytest.raises(OSError, match="No space"):
        split(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_mask_that_is_damaged_is_named_and_the_file_stays(write_file, tmp_path: Path) -> None:
    path = write_file([4] * 5)
    split(path, overwrite=True)
    with h5py.File(path) as file:
        header = h5py.h5o.get_info(file["mask/train"].id).addr
    content = bytearray(path.read_bytes())
    content[header + 12 : header + 20] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(
        DatasetError, match=r"damaged: it cannot be changed \(Couldn't delete link .*\); copy"
    ):
        split(path, overwrite=True)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fraction", [0, 1, float("nan")])
def test_fractions_that_hold_out_nothing_or_all_are_refused(write_file, fraction: float) -> None:
    with pytest.raises(ConfigError, match="it must lie between 0 and 1"):
        split(write_file(), fraction)


def test_one_demonstration_cannot_be_divided(write_file) -> None:
    with pytest.raises(DatasetError, match="two are wanted"):
        split(write_file([4]))


def test_masks_that_share_or_repeat_are_found_by_a_look(write_file, capsys) -> None:
    path = write_file(masks={"train": ["demo_0", "demo_1"], "valid": ["demo_1"]})
    assert cli.main(["data", "inspect", str(path)]) == 2
    assert "mask/train and mask/valid share 1 demonstrations, such as demo_1" in capsys.readouterr().err
    with h5py.File(path, "a") as file:
        del file["mask/train"]
        file["mask/train"] = np.array(["demo_0", "demo_0"], "S")
    assert cli.main(["data", "inspect", str(path)]) == 2
    assert "mask/train names demo_0 twice; choose anew with: ddpm-edu data split" in capsys.readouterr().err
