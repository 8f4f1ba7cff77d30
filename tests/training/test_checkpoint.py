"""Checkpoints come back whole or not at all, and never run code."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.config import Config
from ddpm_edu.errors import CheckpointError
from ddpm_edu.factory import make_policy
from ddpm_edu.training.checkpoint import (
    Checkpoint,
    find_checkpoint,
    list_checkpoints,
    load_policy,
    read_checkpoint,
    save_checkpoint,
)
from ddpm_edu.training.files import join_tensors, split_tensors


@pytest.fixture
def checkpoint():
    policy = make_policy("can", horizon=4, n_action_steps=2, down_dims=(8, 16), n_groups=4)
    state = policy.state_dict()
    training = {
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "betas": (0.9, 0.95)},
        "seconds": 1.5,
    }
    return Checkpoint(5, Config(policy=policy.config), state, state, training, {"torch": torch.__version__})


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.recursive(
    plain,
    lambda children: (
        st.lists(children)
        | st.dictionaries(st.text() | st.integers(), children)
        | st.lists(children).map(tuple)
    ),
)


@given(nested)
def test_nested_containers_survive_json(value):
    content, tensors = split_tensors(value)
    assert join_tensors(json.loads(json.dumps(content)), tensors) == value


def test_everything_comes_back(tmp_path, checkpoint):
    path = save_checkpoint(tmp_path / "checkpoints", checkpoint)
    again = read_checkpoint(path)
    assert (again.step, again.config, again.about) == (5, checkpoint.config, checkpoint.about)
    assert again.training == checkpoint.training
    for name, value in checkpoint.ema.items():
        assert torch.equal(again.ema[name], value)
        assert torch.equal(again.weights[name], value)


def test_only_the_newest_are_kept_and_found(tmp_path, checkpoint):
    for step in (8, 9, 10, 11):
        checkpoint.step = step
        save_checkpoint(tmp_path / "checkpoints", checkpoint, keep=2)
    names = [path.name for path in list_checkpoints(tmp_path / "checkpoints")]
    assert names == ["step_00000010", "step_00000011"]
    assert find_checkpoint(tmp_path).name == "step_00000011"
    assert find_checkpoint(tmp_path / "checkpoints").name == "step_00000011"


def test_a_half_written_checkpoint_is_not_taken(tmp_path, checkpoint):
    whole = save_checkpoint(tmp_path / "checkpoints", checkpoint)
    os.rename(whole, whole.with_name("step_00000009.partial"))
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_checkpoint(tmp_path)


def pipe_at(path):
    path.unlink()
    os.mkfifo(path)


def set_channels(path, channels):
    config = json.loads((path / "policy.json").read_text())["config"]
    config["policy"]["unet"]["down_dims"] = [channels, channels]
    change(path, config=config)


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "ema.safetensors").unlink(), "ema.safetensors is missing"),
        (lambda p: cut(p / "ema.safetensors", 1000), "ema.safetensors is not readable safetensors"),
        (lambda p: cut(p / "ema.safetensors", 0), "ema.safetensors is not readable safetensors"),
        (lambda p: cut(p / "policy.json", 20), "policy.json is not readable JSON"),
        (lambda p: (p / "policy.json").write_text("[]"), "is not of format"),
        (lambda p: change(p, format="another"), "is not of format"),
        (lambda p: change(p, config={"policy": {"horizon": 3}}), "configuration that does not fit"),
        (lambda p: change(p, config={"polcy": {}}), "unknown setting polcy"),
        (lambda p: change(p, config={"policy": {"horizon": 4, "n_action_steps": 2}}), "entry|shape"),
        (lambda p: change(p, config=[]), "configuration that does not fit"),
        (lambda p: change(p, step=None), "does not fit"),
        (lambda p: change(p, step=float("inf")), "step is inf"),
        (lambda p: change(p, config={"policy": {"denoiser": "\ud800"}}), "surrogates not allowed"),
        (lambda p: (p / "policy.json").write_text("[" * 100_000), "not readable JSON"),
        (lambda p: (p / "policy.json").write_text("9" * 5_000), "not readable JSON"),
        (lambda p: (p / "policy.json").write_bytes(b"\xff"), "not readable JSON"),
        (lambda p: pipe_at(p / "policy.json"), "holds no checkpoint"),
        (lambda p: pipe_at(p / "ema.safetensors"), "ema.safetensors is not a file"),
        (lambda p: set_channels(p, 10**12), "policy.json"),
        (lambda p: set_channels(p, 10**5), "policy.json|shape"),
        (lambda p: change(p, about=None), "does not fit"),
    ],
)
def test_a_broken_checkpoint_is_refused_in_one_line(tmp_path, checkpoint, damage, message):
    path = save_checkpoint(tmp_path, checkpoint)
    change(path)  # as written before there were digests
    damage(path)
    with pytest.raises(CheckpointError, match=message) as refusal:
        load_policy(path)
    assert "\n" not in str(refusal.value)
    assert str(tmp_path) in str(refusal.value)


@pytest.mark.parametrize("training", [{}, {"$dict": [["optimizer", {"$tensor": "nowhere"}]]}])
def test_a_training_state_that_fits_nothing_is_refused_with_what_to_do(tmp_path, checkpoint, training):
    path = save_checkpoint(tmp_path, checkpoint)
    change(path)
    (path / "training.json").write_text(json.dumps(training))
    with pytest.raises(CheckpointError, match="do not belong together"):
        read_checkpoint(path)


def change(path, **values):
    about = json.loads((path / "policy.json").read_text())
    about.pop("sha256", None)
    (path / "policy.json").write_text(json.dumps({**about, **values}))


def flip(path, where):
    content = bytearray(path.read_bytes())
    content[where % len(content)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["policy.json", "policy.safetensors", "ema.safetensors", "training.safetensors"]
)
def test_one_changed_bit_is_found(tmp_path, checkpoint, name):
    path = save_checkpoint(tmp_path, checkpoint)
    content = (path / name).read_bytes()
    # The last number of a file of tensors; the step in policy.json, which stays a number.
    flip(path / name, content.index(b'"step": 5') + 8 if name == "policy.json" else -2)
    with pytest.raises(CheckpointError, match=f"{name} is not what was written"):
        read_checkpoint(path)


def test_a_checkpoint_from_before_the_digests_opens(tmp_path, checkpoint):
    path = save_checkpoint(tmp_path, checkpoint)
    change(path)
    assert read_checkpoint(path).step == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, checkpoint, value):
    name = next(name for name in checkpoint.ema if "weight" in name)
    checkpoint.ema = {key: tensor.clone() for key, tensor in checkpoint.ema.items()}
    checkpoint.ema[name].view(-1)[-1] = value
    path = save_checkpoint(tmp_path, checkpoint)
    with pytest.raises(CheckpointError, match="holds a value that is not finite") as refusal:
        load_policy(path)
    assert str(path) in str(refusal.value)
    assert name in str(refusal.value)


def test_what_only_has_a_checkpoints_name_is_not_taken_for_one(tmp_path, checkpoint):
    (tmp_path / "step_00000005").write_text("mine")
    assert list_checkpoints(tmp_path) == []
    with pytest.raises(CheckpointError, match="step_00000005 has a checkpoint's name, and is none"):
        save_checkpoint(tmp_path, checkpoint)
    assert (tmp_path / "step_00000005").read_text() == "mine"


class Malicious:
    """Unpickling it makes a file."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("name", ["ema.safetensors", "policy.json"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_is_never_run(tmp_path, checkpoint, name, zipped):
    bad = pickle.dumps(Malicious(tmp_path / "owned"))
    path = save_checkpoint(tmp_path / "checkpoints", checkpoint)
    if zipped:
        with zipfile.ZipFile(path / name, "w") as file:
            file.writestr("archive/data.pkl", bad)
    else:
        (path / name).write_bytes(bad)
    (tmp_path / "whole.ckpt").write_bytes(bad)
    for candidate in (path, tmp_path / "whole.ckpt", tmp_path / "nothing"):
        with pytest.raises(CheckpointError):
            load_policy(candidate)
    assert not (tmp_path / "owned").exists()
