"""Whatever fails while something is written: the old state or the new one stands, and the work goes on."""

from __future__ import annotations

import json
import os
import re
import shutil

import h5py
import numpy as np
import pytest
import torch
from faults import DiskFails, for_every_request
from random_data import make_demonstrations

from ddpm_edu import cli
from ddpm_edu.config import Config
from ddpm_edu.data.split import split
from ddpm_edu.data.writer import Demonstration, DemonstrationWriter
from ddpm_edu.errors import UserError
from ddpm_edu.factory import make_policy
from ddpm_edu.files import plain_name, refuse_foreign, remove_unfinished, write_atomically
from ddpm_edu.paths import shipped_demonstrations, shipped_policy
from ddpm_edu.presets import preset
from ddpm_edu.training.checkpoint import (
    Checkpoint,
    list_checkpoints,
    read_checkpoint,
    save_checkpoint,
    write_policy,
)
from ddpm_edu.training.log import RunLog, read_log
from ddpm_edu.training.trainer import Trainer

TINY = {"horizon": 4, "n_action_steps": 2, "down_dims": (8, 16), "n_groups": 4, "diffusion_step_embed_dim": 8}


@pytest.fixture
def disk(monkeypatch):
    return DiskFails(monkeypatch)


@pytest.fixture(scope="module")
def checkpoints():
    policy = make_policy("can", **TINY)
    state = policy.state_dict()
    return [
        Checkpoint(step, Config(policy=policy.config), state, state, {"optimizer": torch.tensor(step)}, {})
        for step in (1, 2, 3)
    ]


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def test_a_file(tmp_path, disk):
    path = tmp_path / "card.json"

    def work(content=b"new"):
        with write_atomically(path) as file:
            file.write(content)

    assert for_every_request(disk, lambda: work(b"old"), work, path.read_bytes) >= 5


def test_a_checkpoint_of_training_and_the_rotation_of_older_ones(tmp_path, disk, checkpoints):
    folder = tmp_path / "run"

    def prepare():
        fresh(folder)
        save_checkpoint(folder, checkpoints[0], keep=2)
        save_checkpoint(folder, checkpoints[1], keep=2)

    def work():
        remove_unfinished(folder)  # as the only writer does when it begins
        save_checkpoint(folder, checkpoints[2], keep=2)

    def state():
        """The steps that can be gone on from, newest first."""
        steps = [read_checkpoint(path).step for path in reversed(list_checkpoints(folder))]
        return steps[0]  # how many older ones are still there does not matter

    assert for_every_request(disk, prepare, work, state) >= 25
    assert sorted(path.name for path in folder.iterdir()) == ["step_00000002", "step_00000003"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_policy_in_the_place_of_another(tmp_path, disk, checkpoints, exchange, monkeypatch):
    # The best checkpoint, an imported one, a shipped one.
    if not exchange:  # a file system without it: what has been set aside comes back when a writer begins
        monkeypatch.setattr("ctypes.CDLL", lambda *arguments, **named: None)
    target = tmp_path / "best"

    def prepare():
        fresh(tmp_path)
        write_policy(target, checkpoints[0])

    def state():
        if not exchange:
            remove_unfinished(tmp_path)
        return read_checkpoint(target).step

    def work():
        remove_unfinished(tmp_path)
        write_policy(target, checkpoints[1])

    assert for_every_request(disk, prepare, work, state) >= 25


def test_the_log_of_a_run_that_goes_on(tmp_path, disk):
    def prepare():
        fresh(tmp_path)
        lines = [json.dumps({"step": step, "loss": 1.0}) for step in (1, 2, 3)]
        (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")

    def work():
        RunLog(tmp_path, 2).close()

    for_every_request(disk, prepare, work, lambda: [entry["step"] for entry in read_log(tmp_path)])


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "a\\b"])
def test_a_name_stays_in_its_folder(name):
    with pytest.raises(UserError, match="leads out of its folder"):
        plain_name(name)


def test_a_folder_of_other_things_is_refused(tmp_path):
    refuse_foreign(tmp_path / "missing", ["01.ipynb"])
    (tmp_path / ".hidden").touch()
    refuse_foreign(tmp_path, ["01.ipynb"])
    (tmp_path / "can.hdf5").touch()
    with pytest.raises(UserError, match=r"holds can\.hdf5 and nothing that this command has written"):
        refuse_foreign(tmp_path, ["01.ipynb"])
    (tmp_path / "01.ipynb").touch()
    refuse_foreign(tmp_path, ["01.ipynb"])


@pytest.mark.parametrize(
    "words",
    [
        ["data", "inspect", shipped_demonstrations("can", "image"), "--contact-sheet"],
        ["export", shipped_policy("can_transformer"), "--out"],
        ["show", shipped_policy("can_transformer"), "--out"],
    ],
)
def test_what_another_has_written_is_not_written_over(words, tmp_path, capsys):
    own, pipe, link = tmp_path / "own.hdf5", tmp_path / "pipe", tmp_path / "link"
    own.write_bytes(b"years of work")
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "nowhere")
    for place in (own, pipe, link, tmp_path):
        assert cli.main([*map(str, words), str(place)]) == 2
        assert re.search(rf"error: {place} exists and is no .* of ddpm-edu; give", capsys.readouterr().err)
    assert own.read_bytes() == b"years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "own.hdf5", "pipe"]


def write_demonstrations(path, count):
    source, env_args = make_demonstrations(lengths=(6,) * count), {"env_name": "PickPlaceCan"}
    with DemonstrationWriter(path, env_args) as writer:
        for index in range(count):
            rows = source.steps(index)
            obs = {key: value[rows] for key, value in source.obs.items()}
            states = np.zeros((6, 4))
            writer.add(Demonstration(obs, source.action[rows], states, states[:, 0], "<mujoco/>", {}))


def demonstrations_in(path):
    with h5py.File(path) as file:
        masks = {name: sorted(file["mask"][name][()].tolist()) for name in file["mask"]}
        return sorted(file["data"]), masks, [file[f"data/{name}/actions"][()].sum() for name in file["data"]]


def test_a_file_of_demonstrations(tmp_path, disk):
    path = tmp_path / "own.hdf5"
    count = for_every_request(
        disk,
        lambda: write_demonstrations(path, 2),
        lambda: write_demonstrations(path, 3),
        lambda: demonstrations_in(path),
    )
    assert count >= 20


def test_the_masks_of_a_file(tmp_path, disk):
    path = tmp_path / "own.hdf5"
    for_every_request(
        disk,
        lambda: write_demonstrations(path, 4),
        lambda: split(path, valid_fraction=0.5, overwrite=True),
        lambda: demonstrations_in(path),
    )
    assert [name.name for name in tmp_path.iterdir()] == ["own.hdf5"]


@pytest.mark.slow
def test_a_training_run(tmp_path, disk):
    # Every request would take minutes; one in thirty of them, all through the run.
    config = preset(
        "can", **TINY, steps=4, warmup_steps=1, batch_size=4, max_demonstrations=1,
        checkpoint_every=2, validate_every=4, log_every=1,
    )  # fmt: skip
    whole = Trainer(config, tmp_path / "whole").run(progress=False).checkpoint
    count = len(disk.done)
    expected = read_checkpoint(whole).weights
    for number in range(1, count, 30):
        run = tmp_path / str(number)
        with disk.at(number, lasting=True), pytest.raises((OSError, MemoryError)):
            Trainer(config, run).run(progress=False)
        found = read_checkpoint(Trainer(config, run).run(progress=False).checkpoint).weights
        assert all(torch.equal(expected[name], found[name]) for name in expected), number
        assert not list(run.rglob("*.partial"))
