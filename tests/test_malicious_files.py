"""Files that hold code: no command runs it, whichever part of a checkpoint or of kept work it stands in."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpm_edu import cli
from ddpm_edu.errors import DatasetError
from ddpm_edu.simulation.kept import load_demonstration
from ddpm_edu.training.checkpoint import list_checkpoints


class Malicious:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, (self.target,)


def write_pickle(path: Path, payload: Malicious) -> None:
    path.write_bytes(pickle.dumps(payload))


def write_zip(path: Path, payload: Malicious) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(payload))
        archive.writestr("archive/version", "3")


def write_torch(path: Path, payload: Malicious) -> None:
    torch.save({"state_dict": payload}, path)


WAYS = {"pickle": write_pickle, "zip": write_zip, "torch": write_torch}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A real run of one step, and the command that goes on with it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    options = ["--max-demonstrations", "2", "--batch-size", "4", "--denoiser", "transformer"]
    assert cli.main(["train", "--run-dir", str(run), "--steps", "1", *options]) == 0
    return run, ["--steps", "1", *options]


@pytest.fixture
def run(trained: tuple[Path, list[str]], tmp_path: Path) -> tuple[Path, list[Path], list[str]]:
    folder = shutil.copytree(trained[0], tmp_path / "run")
    return folder, list_checkpoints(folder / "checkpoints"), trained[1]


def refused(capsys: pytest.CaptureFixture[str], owned: Path, *words: object) -> None:
    capsys.readouterr()
    assert cli.main([*map(str, words)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith("error: ")
    assert not owned.exists()


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("policy.json", "pickle"),
        ("training.json", "pickle"),
        ("ema.safetensors", "zip"),
        ("policy.safetensors", "torch"),
        ("training.safetensors", "pickle"),
    ],
)
def test_going_on_with_a_run_executes_nothing(run, tmp_path: Path, capsys, name: str, way: str) -> None:
    folder, checkpoints, options = run
    for checkpoint in checkpoints:
        assert (checkpoint / name).exists()
        WAYS[way](checkpoint / name, Malicious(tmp_path / "owned"))
    refused(capsys, tmp_path / "owned", "train", "--run-dir", folder, *options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["policy.json", "ema.safetensors"])
def test_letting_a_policy_act_executes_nothing(run, tmp_path: Path, capsys, name: str, way: str) -> None:
    folder, checkpoints, _ = run
    for checkpoint in checkpoints:
        WAYS[way](checkpoint / name, Malicious(tmp_path / "owned"))
    for place in (folder, checkpoints[-1]):
        refused(capsys, tmp_path / "owned", "rollout", place, "--episodes", "1")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", ["pt", "ckpt", "safetensors", "hdf5", "zip"])
def test_no_command_executes_a_file_that_it_is_given(tmp_path: Path, capsys, ending: str, way: str) -> None:
    file, owned = tmp_path / f"bad.{ending}", tmp_path / "owned"
    WAYS[way](file, Malicious(owned))
    for words in (
        ["rollout", file],
        ["import", file, "--out", tmp_path / "policy"],
        ["data", "inspect", file],
        ["data", "render", file, "--out", tmp_path / "image.hdf5"],
        ["train", "--path", file, "--run-dir", tmp_path / "run"],
    ):
        refused(capsys, owned, *words)


def test_kept_work_executes_nothing(tmp_path: Path) -> None:
    """An array of objects is a pickle inside; the zips of collecting and rendering are read without."""
    with (
        zipfile.ZipFile(tmp_path / "attempt_0.zip", "w") as archive,
        archive.open("actions.npy", "w") as file,
    ):
        objects = np.array([Malicious(tmp_path / "owned")], dtype=object)
        np.lib.format.write_array(file, objects, allow_pickle=True)
    with pytest.raises(DatasetError, match=r"attempt_0\.zip is damaged .*Object arrays cannot be loaded"):
        load_demonstration(tmp_path / "attempt_0.zip")
    write_pickle(tmp_path / "attempt_1.zip", Malicious(tmp_path / "owned"))
    with pytest.raises(DatasetError, match=r"is damaged .*not a zip file"):
        load_demonstration(tmp_path / "attempt_1.zip")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("way", ["pickle", "torch"])
def test_the_code_is_real(tmp_path: Path, way: str) -> None:
    WAYS[way](tmp_path / "bad", Malicious(tmp_path / "owned"))
    if way == "pickle":
        pickle.loads((tmp_path / "bad").read_bytes())
    else:
        torch.load(tmp_path / "bad", weights_only=False)
    assert (tmp_path / "owned").exists()
