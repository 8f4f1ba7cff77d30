"""Collecting: the same file for any number of workers and stops, and one that robomimic itself reads."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import ddpm_edu.simulation.collect as collecting
import ddpm_edu.simulation.kept as kept
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.writer import Demonstration, DemonstrationWriter, valid_demonstrations
from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.simulation.collect import collect, naming_full_disk
from ddpm_edu.simulation.env import ManipulationEnv
from ddpm_edu.third_party import import_robomimic


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("collected") / "can.hdf5"
    collection = collect("can", 3, path, progress=False)
    assert collection.demonstrations == 3
    return path


def contents(path: Path) -> dict[str, object]:
    found: dict[str, object] = {}

    def visit(name: str, member: h5py.Group | h5py.Dataset) -> None:
        found[name] = {key: np.asarray(value).tolist() for key, value in member.attrs.items()}
        if isinstance(member, h5py.Dataset):
            found[name + ":"] = member[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_robomimics_own_reader_reads_it(collected: Path) -> None:
    import_robomimic("robomimic")
    obs_utils = import_robomimic("robomimic.utils.obs_utils")
    dataset_module = import_robomimic("robomimic.utils.dataset")
    keys = ["object", "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"]
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": keys}})
    dataset = dataset_module.SequenceDataset(
        hdf5_path=str(collected), obs_keys=keys, dataset_keys=["actions", "rewards", "dones"], seq_length=4,
        load_next_obs=False, filter_by_attribute="train",
    )  # fmt: skip
    ours = Demonstrations.read(collected, "can", filter_key="train")
    assert len(dataset) == len(ours.action)
    np.testing.assert_allclose(dataset[0]["actions"], ours.action[:4], atol=1e-7)
    np.testing.assert_allclose(dataset[0]["obs"]["object"], ours.obs["object"][:4])
    assert dataset.get_dataset_sequence_from_demo(dataset.demos[0], 0, ["dones"])["dones"].shape == (1,)


def test_robomimics_own_playback_reaches_the_recorded_states(collected: Path) -> None:
    """Also checks what playback_dataset.py does: rebuild the environment from env_args, reset_to, step."""
    import_robomimic("robomimic.envs.env_robosuite")
    file_utils = import_robomimic("robomimic.utils.file_utils")
    env_utils = import_robomimic("robomimic.utils.env_utils")
    obs_utils = import_robomimic("robomimic.utils.obs_utils")
    playback = import_robomimic("robomimic.scripts.playback_dataset")
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": ["robot0_eef_pos"], "rgb": []}})
    env = env_utils.create_env_from_metadata(file_utils.get_env_metadata_from_dataset(str(collected)))
    with h5py.File(collected) as file:
        group = file["data/demo_1"]
        states, actions = group["states"][()], group["actions"][()]
        first = {"states": states[0], "model": group.attrs["model_file"]}
        eef = group["obs/robot0_eef_pos"][()]
    env.reset()
    env.reset_to(first)
    for index, action in enumerate(actions[:-1]):
        env.step(action)
        np.testing.assert_array_equal(env.get_state()["states"], states[index + 1])
    playback.playback_trajectory_with_env(env, first, states[:5])  # state by state
    observation = env.reset_to({"states": states[30]})
    np.testing.assert_allclose(observation["robot0_eef_pos"], eef[30], atol=1e-6)


def test_layout(collected: Path) -> None:
    with h5py.File(collected) as file:
        assert json.loads(file["data"].attrs["env_args"])["env_name"] == "PickPlaceCan"
        assert file["data"].attrs["total"] == sum(g.attrs["num_samples"] for g in file["data"].values())
        names = {name.decode() for mask in ("train", "valid") for name in file["mask"][mask]}
        assert names == set(file["data"])
        assert len(file["mask/valid"]) == 1
        demo = file["data/demo_0"]
        assert demo["actions"].dtype == np.float64
        assert demo["dones"][-1] == 1
        assert {"seed", "style_side", "num_samples", "model_file"} <= set(demo.attrs)


@pytest.mark.slow
def test_workers_change_nothing(collected: Path, tmp_path: Path) -> None:
    collect("can", 3, tmp_path / "can.hdf5", workers=2, progress=False)
    assert contents(tmp_path / "can.hdf5") == contents(collected)
    assert [path.name for path in tmp_path.iterdir()] == ["can.hdf5"]


@pytest.mark.slow
def test_goes_on_after_being_killed(collected: Path, tmp_path: Path) -> None:
    program = f"""
        from ddpm_edu.simulation.collect import collect
        if __name__ == "__main__":
            collect("can", 3, {str(tmp_path / "can.hdf5")!r}, workers=2, progress=False)
    """
    script = tmp_path / "collecting.py"
    script.write_text(textwrap.dedent(program))
    attempts = tmp_path / "can.hdf5.attempts"
    process = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 120
    while not list(attempts.glob("attempt_*.zip")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = sorted(attempts.glob("attempt_*.zip"))
    times = [path.stat().st_mtime_ns for path in kept]
    assert not (tmp_path / "can.hdf5").exists()
    collect("can", 2, tmp_path / "two.hdf5", progress=False)  # another file does not take them
    assert [path.stat().st_mtime_ns for path in kept] == times
    collect("can", 3, tmp_path / "can.hdf5", progress=False)
    assert contents(tmp_path / "can.hdf5") == contents(collected)
    assert not attempts.exists()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_a_second_collection_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "can.hdf5"
    command = [sys.executable, "-m", "ddpm_edu", "collect", "--n", "50", "--workers", "1", "--out", out]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(tmp_path.glob("can.hdf5.attempts/attempt_*")):
        assert process.poll() is None
        time.sleep(0.05)
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 2
    assert f"{out} is being written by process {process.pid} on " in second.stderr
    assert len(second.stderr.splitlines()) == 1
    os.killpg(process.pid, signal.SIGINT)  # what a terminal sends: to the workers as well
    said = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert list(tmp_path.glob("can.hdf5.attempts/attempt_*"))
    assert [path.name for path in tmp_path.iterdir()] == ["can.hdf5.attempts"]


@pytest.mark.slow
def test_a_worker_that_hangs_or_is_killed_is_replaced(
    collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DDPM_EDU_PATIENCE", "20")
    out = tmp_path / "can.hdf5"

    def disturb() -> None:
        for number, kind in enumerate((signal.SIGSTOP, signal.SIGKILL), 1):
            while len(list(tmp_path.glob("can.hdf5.attempts/attempt_*"))) < number:
                time.sleep(0.02)
            os.kill(multiprocessing.active_children()[0].pid, kind)

    thread = threading.Thread(target=disturb)
    thread.start()
    collect("can", 3, out, progress=False)
    thread.join()
    assert contents(out) == contents(collected)
    said = capfd.readouterr().err
    assert "simulator process 1 of 1 gave no sign for 2" in said
    assert "its work done again (attempt " in said


def test_full_disk_is_said_in_one_line_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: ManipulationEnv
) -> None:
    real = kept._write

    def full(archive: object, demonstration: Demonstration) -> None:
        real(archive, demonstration)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kept, "_write", full)
    monkeypatch.setattr(collecting, "make_env", lambda task, observation: can)
    attempts = collecting._Attempts(can.task, "low_dim", None, tmp_path, 0)
    with pytest.raises(SimulatorError, match="disk is full") as caught, naming_full_disk(tmp_path):
        attempts(0)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_collection_stays(tmp_path: Path, overwrite: bool) -> None:
    (out := tmp_path / "own.hdf5").write_text("mine")
    with pytest.raises(ConfigError, match="is no collection of ddpm-edu collect"):
        collect("can", 1, out, overwrite=overwrite, progress=False)
    (folder := tmp_path / "a.hdf5.attempts").mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else; move it away"):
        collect("can", 1, tmp_path / "a.hdf5", progress=False)
    assert out.read_text() == (folder / "thesis.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_finished_file_is_not_made_again_nor_overwritten(collected: Path) -> None:
    before = collected.stat().st_mtime_ns
    assert collect("can", 3, collected, progress=False).demonstrations == 3
    with pytest.raises(ConfigError, match="other settings"):
        collect("can", 3, collected, seed=1, progress=False)
    assert collected.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"task": "tool_hang"}, "tool_hang"),
        ({"observation": "pixels"}, "pixels"),
    ],
)
def test_refuses_bad_settings(tmp_path: Path, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        collect(**{"task": "can", "n": 1, "out": tmp_path / "a.hdf5", **wrong})
    assert not list(tmp_path.iterdir())


def test_image_demonstrations_hold_both_cameras_and_the_state(tmp_path: Path) -> None:
    collect("square", 1, tmp_path / "square.hdf5", "image", progress=False)
    with h5py.File(tmp_path / "square.hdf5") as file:
        # A mask that names nothing is refused by all who read it, `data render` among them.
        assert list(file["mask"]) == ["train"]
        obs = file["data/demo_0/obs"]
        steps = file["data/demo_0"].attrs["num_samples"]
        for camera in ("agentview_image", "robot0_eye_in_hand_image"):
            assert obs[camera].shape == (steps, 84, 84, 3)
            assert obs[camera].dtype == np.uint8
        assert obs["object"].shape == (steps, 14)
        assert json.loads(file["data"].attrs["env_args"])["env_kwargs"]["use_camera_obs"] is True


def test_writer_leaves_nothing_behind_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), DemonstrationWriter(tmp_path / "a.hdf5", {"env_name": "x"}):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "valid"), [(1, 0), (2, 1), (10, 1), (200, 20)])
def test_a_tenth_is_for_validation(number: int, valid: int) -> None:
    chosen = valid_demonstrations(number, 0.1, seed=0)
    assert len(chosen) == valid
    assert chosen <= set(range(number))
