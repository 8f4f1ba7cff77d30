"""robomimic's published files: fetched from a hub on this machine, stopped and damaged, then read."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pytest
from local_hub import COMMIT, Hub, serving
from official_layout import env_args, write_official

from ddpm_edu import cli
from ddpm_edu.data.comparison import differences
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.download import REVISION, download, hub_path
from ddpm_edu.errors import ConfigError, DatasetError
from ddpm_edu.paths import shipped_demonstrations


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("published")
    files = {
        hub_path(task, type): write_official(shipped_demonstrations(task), folder / f"{task}_{type}.hdf5")
        for task, type in (("can", "ph"), ("square", "mh"))
    }
    raw = write_official(shipped_demonstrations("can"), folder / "raw.hdf5", version="1.5.0", raw=True)
    return {**files, hub_path("can", "ph", "raw"): raw}


@pytest.fixture
def hub(published: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(published) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_a_secret")
        yield hub


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_files_stand_where_robomimic_says() -> None:
    assert hub_path("can") == "v1.5/can/ph/low_dim_v15.hdf5"
    assert hub_path("square", "mh", "raw") == "v1.5/square/mh/demo_v15.hdf5"
    assert REVISION == COMMIT
    with pytest.raises(ConfigError, match="they are ph or mh"):
        hub_path("can", "mg")


def test_a_file_arrives_byte_for_byte_and_is_not_fetched_twice(hub: Hub, tmp_path: Path) -> None:
    done = download("can", out=tmp_path / "can.hdf5")
    assert done.path.read_bytes() == hub.files["v1.5/can/ph/low_dim_v15.hdf5"].read_bytes()
    assert (done.resumed, done.size) == (0, done.path.stat().st_size)
    assert left_in(tmp_path) == ["can.hdf5"]
    again = download("can", out=tmp_path / "can.hdf5")
    assert again.resumed == done.size
    assert len(hub.ranges) == 1
    assert hub.tokens == []
    with pytest.raises(ConfigError, match=r"exists and is not the hub's v1\.5/can/ph/demo_v15\.hdf5"):
        download("can", content="raw", out=tmp_path / "can.hdf5")


def test_a_broken_line_is_taken_up_again(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = 1 << 18
    done = download("can", out=tmp_path / "can.hdf5")
    assert done.path.read_bytes() == hub.files["v1.5/can/ph/low_dim_v15.hdf5"].read_bytes()
    assert hub.ranges == list(range(0, done.size, 1 << 18))


def test_what_was_damaged_earlier_is_fetched_once_more(hub: Hub, tmp_path: Path) -> None:
    digest = sha256(hub.files["v1.5/can/ph/low_dim_v15.hdf5"].read_bytes()).hexdigest()
    (tmp_path / f"can.hdf5.{digest[:16]}.partial").write_bytes(b"\xff" * 1000)
    done = download("can", out=tmp_path / "can.hdf5")
    assert hub.ranges == [1000, 0]
    assert (done.resumed, left_in(tmp_path)) == (0, ["can.hdf5"])


def test_other_bytes_than_the_hub_names_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.damage = True
    with pytest.raises(DatasetError, match=r"sent bytes of SHA-256 .* instead of .*; they were removed"):
        download("can", out=tmp_path / "can.hdf5")
    assert not (tmp_path / "can.hdf5").exists()
    hub.damage = False
    assert download("can", out=tmp_path / "can.hdf5").resumed == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hub, patch: hub.files.clear(), "is answered with HTTP 404; check HF_ENDPOINT"),
        (lambda hub, patch: setattr(hub, "digests", False), "is answered without size and SHA-256"),
        (lambda hub, patch: patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9"), "cannot be fetched .*mirror"),
    ],
)
def test_what_a_hub_can_get_wrong_is_one_line(
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change,
    message,
) -> None:
    hub.files = dict(hub.files)
    change(hub, monkeypatch)
    assert cli.main(["data", "download", "can", "--out", str(tmp_path / "can.hdf5")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert left_in(tmp_path) == []
    assert re.search(message, said)


def killed_downloads(hub: Hub, out: Path, kills: int, seed: int) -> int:
    """Fetches through the command, killed at random moments; returns how often it had begun to arrive."""
    command = [Path(sys.executable).with_name("ddpm-edu"), "data", "download", "can", "--out", out]
    chance, arrived = random.Random(seed), 0
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = len(hub.ranges)
        while len(hub.ranges) == began and process.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        arrived += process.wait() == -signal.SIGKILL
        assert not out.exists()
    return arrived


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on(hub: Hub, tmp_path: Path) -> None:
    out, hub.pause = tmp_path / "can.hdf5", 0.1
    assert killed_downloads(hub, out, kills=3, seed=0) == 3
    partial = next(tmp_path.glob("*.partial"))
    kept, hub.pause = partial.stat().st_size, 0.0
    assert kept > 0
    assert download("can", out=out).resumed == kept
    assert out.read_bytes() == hub.files["v1.5/can/ph/low_dim_v15.hdf5"].read_bytes()
    assert hub.ranges == sorted(hub.ranges)
    assert left_in(tmp_path) == ["can.hdf5"]


def test_two_at_once_do_not_mix(hub: Hub, tmp_path: Path) -> None:
    digest = sha256(hub.files["v1.5/can/ph/low_dim_v15.hdf5"].read_bytes()).hexdigest()
    with (tmp_path / f"can.hdf5.{digest[:16]}.partial").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DatasetError, match="is being written by another download; wait"):
            download("can", out=tmp_path / "can.hdf5")


# ---------------------------------------------------------------- what arrives is understood


@pytest.mark.parametrize("version", ["1.5.1", "1.4.1"])
@pytest.mark.parametrize("task", ["can", "square"])
def test_published_layouts_give_the_numbers_that_ours_gives(tmp_path: Path, task: str, version: str) -> None:
    ours = Demonstrations.read(shipped_demonstrations(task), task, max_demonstrations=3)
    theirs = Demonstrations.read(
        write_official(shipped_demonstrations(task), tmp_path / "official.hdf5", version), task
    )
    assert theirs.names == ours.names
    np.testing.assert_array_equal(theirs.action, ours.action)
    for key, values in ours.obs.items():
        np.testing.assert_allclose(theirs.obs[key], values, atol=1e-6, err_msg=key)


def test_every_difference_is_named(tmp_path: Path) -> None:
    source = shipped_demonstrations("can")
    said = {
        version: "\n".join(
            map(str, differences(write_official(source, tmp_path / f"{version}.hdf5", version)))
        )
        for version in ("1.5.1", "1.4.1")
    }
    for text in said.values():
        assert "by image policies, for want of agentview_image, robot0_eye_in_hand_image" in text
        assert "float64 where the task has float32: object, robot0_eef_pos" in text
        assert "beside the observations, not read: next_obs" in text
    assert "object is in the order of robosuite 1.5, seen from the hand first" in said["1.5.1"]
    assert "actions stand in the world's frame" in said["1.5.1"]
    assert "not read: robot0_eef_quat_site, robot0_gripper_qvel" in said["1.5.1"]
    assert "robosuite 1.4.1 recorded it, 1.5 runs here" in said["1.4.1"]
    assert "without body_parts" in said["1.4.1"]
    assert "order of robosuite 1.5" not in said["1.4.1"]
    raw = differences(write_official(source, tmp_path / "raw.hdf5", raw=True))
    assert any("states and actions alone" in difference.text for difference in raw)
    assert [str(difference) for difference in differences(shipped_demonstrations("can", "image"))] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"robots": ["Sawyer"]}, "recorded with Sawyer; the task needs one Panda"),
        ({"robots": ["Panda", "Panda"]}, "recorded with Panda, Panda"),
        ({"control_freq": 10}, "recorded at 10 control steps per second; the task runs at 20"),
        ({"type": "JOINT_VELOCITY"}, "actions of the controller JOINT_VELOCITY"),
        ({"control_delta": False}, "has absolute actions"),
        ({"output_max": 0.1}, "has actions of scale"),
    ],
)
@pytest.mark.parametrize("version", ["1.5.1", "1.4.1"])
def test_actions_that_mean_something_else_are_refused(
    write_file, change: dict[str, object], message: str, version: str
) -> None:
    description = json.loads(json.dumps(env_args("PickPlaceCan", version)))
    kwargs = description["env_kwargs"]
    controller = kwargs["controller_configs"]
    arm = controller["body_parts"]["right"] if version == "1.5.1" else controller
    (arm if next(iter(change)) in arm else kwargs).update(change)
    path = write_file()
    with h5py.File(path, "a") as file:
        file["data"].attrs["env_args"] = json.dumps(description)
    with pytest.raises(DatasetError, match=message):
        Demonstrations.read(path, "can")
    assert any(d.kind == "refused" and message[:20] in d.text for d in differences(path))


def test_the_command_fetches_and_compares(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "download", "square", "--type", "mh"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("runs/demonstrations/square_mh_low_dim_v15.hdf5: fetched; ")
    assert "demonstrations: object is in the order of robosuite 1.5" in said
    assert os.listdir("runs/demonstrations") == ["square_mh_low_dim_v15.hdf5"]
    assert cli.main(["data", "download", "square", "--type", "mh"]) == 0
    assert "was there already" in capsys.readouterr().out
