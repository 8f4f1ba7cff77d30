"""Rendering recorded states gives the pictures that collecting took, whoever stopped it in between."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from official_layout import write_official

from ddpm_edu import cli
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import ConfigError, DatasetError, SimulatorError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.reporting.card_commands import demonstrations_command
from ddpm_edu.simulation.render_file import render

STEPS = 5


def beginnings(source: Path, steps: int = STEPS) -> Path:
    """Leaves only the first steps of each demonstration of a file."""
    with h5py.File(source, "a") as file:
        for group in file["data"].values():
            group.attrs["num_samples"] = steps
            arrays = [
                "actions",
                "states",
                "rewards",
                "dones",
                *(f"obs/{key}" for key in group.get("obs", ())),
            ]
            for name in arrays:
                values = group[name][:steps]
                del group[name]
                group[name] = values
        file["data"].attrs["total"] = steps * len(file["data"])
    return source


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The states of three shipped demonstrations, as robomimic publishes them: without observations."""
    path = tmp_path_factory.mktemp("raw") / "demo_v15.hdf5"
    return beginnings(write_official(shipped_demonstrations("can"), path, demonstrations=(0, 2, 9), raw=True))


@pytest.fixture(scope="module")
def rendered(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rendered") / "image.hdf5"
    done = render(raw, path, progress=False)
    assert (done.demonstrations, done.steps, done.kept) == (3, 3 * STEPS, 0)
    return path


def contents(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, member: (
                found.update({name: member[()].tobytes()}) if hasattr(member, "shape") else None
            )
        )
    return found


def assert_alike(found: np.ndarray, wanted: np.ndarray, key: str) -> None:
    """Equal up to rounding: what another machine, or another compilation, computes rounds differently."""
    difference = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    if wanted.dtype == np.uint8:  # a moved edge would change many pixels by much
        assert difference.mean() < 0.01, key
    else:
        assert difference.max() < 1e-6, key


def test_pictures_and_numbers_are_those_that_collecting_recorded(rendered: Path) -> None:
    with h5py.File(shipped_demonstrations("can", "image")) as shipped, h5py.File(rendered) as file:
        assert list(file["data"]) == ["demo_0", "demo_2", "demo_9"]
        for name, group in file["data"].items():
            theirs = shipped["data"][name]
            assert set(group["obs"]) == set(theirs["obs"])
            for key, values in group["obs"].items():
                assert_alike(values[:], theirs["obs"][key][:STEPS], key)
            for key in ("actions", "states", "rewards"):
                np.testing.assert_array_equal(group[key][:], theirs[key][:STEPS], err_msg=key)
    demonstrations = Demonstrations.read(rendered, "can", "image", filter_key="train")
    assert demonstrations.names == ["demo_0", "demo_2"]


@pytest.mark.slow
def test_published_low_dim_files_are_rendered_too(rendered: Path, raw: Path, tmp_path: Path) -> None:
    """Their observations come in another order and lag; the rendered file's are the simulator's."""
    low_dim = write_official(shipped_demonstrations("can"), tmp_path / "low.hdf5", demonstrations=(0, 2, 9))
    done = render(beginnings(low_dim), tmp_path / "image.hdf5", n=1, progress=False)
    assert done.demonstrations == 1
    with h5py.File(rendered) as wanted, h5py.File(done.path) as found:
        for key, values in found["data/demo_0/obs"].items():
            assert_alike(values[:], wanted["data/demo_0/obs"][key][:], key)


def killed_renderings(source: Path, out: Path, kills: int, rest: float = 0.0) -> int:
    """Renders through the command, killed each time when one more is finished; the kills that hit."""
    command = [Path(sys.executable).with_name("ddpm-edu"), "data", "render", source, "--out", out]
    folder, hits = out.with_name(out.name + ".rendered"), 0
    for _ in range(kills):
        before = len(list(folder.glob("*.zip")))
        process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.DEVNULL)
        while len(list(folder.glob("*.zip"))) == before and process.poll() is None:
            time.sleep(0.02)
        time.sleep(rest)
        process.kill()
        hits += process.wait() < 0
        assert not out.exists() or hits < kills
    return hits


@pytest.mark.slow
def test_killed_it_goes_on_and_makes_the_same_file(raw: Path, rendered: Path, tmp_path: Path) -> None:
    out = tmp_path / "image.hdf5"
    assert killed_renderings(raw, out, kills=1) == 1
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("image.hdf5.rendered/*.zip")}
    assert kept
    assert not out.exists()
    done = render(raw, out, progress=False)
    assert done.kept >= len(kept)
    assert contents(out) == contents(rendered)
    assert [path.name for path in tmp_path.iterdir()] == ["image.hdf5"]


def test_a_result_card_knows_the_command_that_rendered(rendered: Path) -> None:
    there = "runs/demonstrations"
    wanted = f"ddpm-edu data render {there}/demo_v15.hdf5 --n 3 --out {there}/image.hdf5"
    assert demonstrations_command(str(rendered)) == wanted


def test_what_is_there_already_is_not_rendered_again(raw: Path, rendered: Path) -> None:
    made = rendered.stat().st_mtime_ns
    assert render(raw, rendered, progress=False).kept == 3
    assert rendered.stat().st_mtime_ns == made
    with pytest.raises(ConfigError, match="exists and is not made from"):
        render(raw, rendered, n=1, progress=False)
    with pytest.raises(ConfigError, match="exists and is not made from"):
        render(raw, raw, overwrite=True, progress=False)
    for wrong in ({"n": 0}, {"workers": 0}):
        with pytest.raises(ConfigError, match=r"is 0; at least 1"):
            render(raw, rendered, **wrong)


def change_states(group: h5py.Group, values: np.ndarray) -> None:
    del group["states"]
    group["states"] = values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda group: group.__delitem__("states"), "demo_0/states is missing; rendering replays"),
        (lambda group: change_states(group, np.zeros((STEPS, 5))), r"demo_0: the state has shape \(5,\)"),
        (
            lambda group: change_states(group, np.full((STEPS, 71), np.nan)),
            "demo_0/states holds values that",
        ),
        (
            lambda group: change_states(group, np.zeros((3, 71))),
            "demo_0 has steps: states 3, actions 5, rewards 5",
        ),
        (lambda group: change_states(group, np.zeros(5)), r"demo_0/states has shape \(5,\)"),
        (lambda group: group.attrs.__delitem__("model_file"), "demo_0.model_file cannot be read"),
        (lambda group: group.attrs.__setitem__("model_file", "<mujoco"), "cannot load the recorded model"),
        (
            lambda group: group.attrs.__setitem__(
                "model_file", group.attrs["model_file"].replace("gripper0_right_", "gripper0_")
            ),
            "cannot load the recorded model .*another version of robosuite",
        ),
        (
            lambda group: group.create_dataset("obs/robot0_eef_pos", data=np.zeros((STEPS, 3))),
            r"the hand is [0-9.]+ cm off what the file says at step \d",
        ),
        (
            lambda group: group.__setitem__(
                "obs/robot0_eef_pos",
                h5py.ExternalLink(str(shipped_demonstrations("can")), "data/demo_0/obs/robot0_eef_pos"),
            ),
            "obs/robot0_eef_pos is a link to .*links are not followed",
        ),
        (
            lambda group: (
                group.__delitem__("states"),
                group.create_dataset("states", (10**12, 71), "f8", chunks=(1, 71)),
            ),
            "demo_0/states declares .* GiB",
        ),
    ],
)
def test_a_source_that_cannot_be_replayed_is_one_line(
    raw: Path, tmp_path: Path, image_can, monkeypatch: pytest.MonkeyPatch, change, message: str
) -> None:
    import ddpm_edu.simulation.render_file as rendering

    source = tmp_path / "raw.hdf5"
    source.write_bytes(raw.read_bytes())
    with h5py.File(source, "a") as file:
        change(file["data/demo_0"])
    with pytest.raises((DatasetError, SimulatorError), match=message) as caught:
        rendering.render_demonstration(image_can, source, "demo_0")
    assert "\n" not in str(caught.value)
    assert str(source) in str(caught.value)


@pytest.fixture(scope="module")
def image_can():
    from ddpm_edu.simulation.env import make_env

    env = make_env("can", "image")
    yield env
    env.close()


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "render", str(tmp_path / "none.hdf5"), "--out", str(tmp_path / "out.hdf5")]) == 2
    assert "does not exist; name a robomimic HDF5 file, or fetch one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
