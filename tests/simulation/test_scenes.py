"""Random scenes are states of the simulator, and the same seed gives the same ones."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from ddpm_edu.cli import main
from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.made_from import made_from
from ddpm_edu.data.object_layout import SCENES
from ddpm_edu.errors import ConfigError
from ddpm_edu.paths import DATA, shipped_demonstrations
from ddpm_edu.simulation.render_file import RENDERING, render
from ddpm_edu.simulation.scenes import scatter, scenes_from


def states(path):
    with h5py.File(path) as file:
        return np.concatenate([file["data"][f"demo_{i}"]["states"][:] for i in range(len(file["data"]))])


@pytest.mark.parametrize("task", ["can", "square"])
def test_scenes_scatter_the_object_and_can_be_rendered_and_read(task, tmp_path):
    scatter(shipped_demonstrations(task), task, 120, tmp_path / "scenes.hdf5", seed=3)
    scatter(shipped_demonstrations(task), task, 20, tmp_path / "fewer.hdf5", seed=3)
    assert len(states(tmp_path / "scenes.hdf5")) == 120
    assert np.array_equal(states(tmp_path / "scenes.hdf5")[:20], states(tmp_path / "fewer.hdf5"))

    # A demonstration of one scene each would be held out as a whole: hundred and twenty make two.
    render(tmp_path / "scenes.hdf5", tmp_path / "seen.hdf5", n=2, progress=False)
    seen = Demonstrations.read(tmp_path / "seen.hdf5", task, "image")
    known = Demonstrations.read(tmp_path / "seen.hdf5", task, "low_dim")
    made = scenes_from(shipped_demonstrations(task), 120, seed=3)
    assert made_from(tmp_path / "seen.hdf5", RENDERING)["scenes"] == made
    assert seen.obs["agentview_image"].shape == (120, 3, 84, 84)
    demonstrated = Demonstrations.read(shipped_demonstrations(task), task).obs["object"]
    place, shown = known.obs["object"][:, :3], demonstrated[:, :3]
    assert (place >= shown.min(axis=0) - 0.12).all()
    assert (place <= shown.max(axis=0) + 0.12).all()
    # Scenes do not follow each other, so no sign was "mended" to make them do.
    with h5py.File(tmp_path / "seen.hdf5") as file:
        told = np.concatenate([file[f"data/demo_{i}/obs/robot0_eef_quat"][:] for i in range(2)])
    assert np.array_equal(known.obs["robot0_eef_quat"], told.astype(np.float32))
    near = np.linalg.norm(known.obs["object"][:, 7:10], axis=-1) < 0.1
    assert 0.3 < near.mean() < 0.9
    assert len(np.unique(place.round(4), axis=0)) > 115


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--seed", "4"], "was made with --seed 3, and 4 is asked for"),
        (["--scenes", "6"], "was made with --scenes 5, and 6 is asked for"),
        (["--states", shipped_demonstrations("can", "image")], "was made from other --states (by content)"),
    ],
)
@pytest.mark.parametrize("name", ["scenes.hdf5", "scenes_states.hdf5"])
def test_scenes_of_an_earlier_call_are_found_again_and_no_others(name, options, wrong, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    made = scenes_from(shipped_demonstrations("can"), 5, 3)
    with h5py.File(run / name, "w") as file:  # as far as it is looked at
        attributes = file.create_group("data").attrs
        attributes[SCENES], attributes[RENDERING] = json.dumps(made), json.dumps({SCENES: made})
    see = ["see", "--policy", DATA / "policies" / "can_transformer", "--run-dir", run, "--scenes", 5]
    see += ["--path", shipped_demonstrations("can", "image"), "--seed", 3]
    assert main([*map(str, [*see, *options])]) == 2
    assert f"error: {run / name} {wrong}" in capsys.readouterr().err


def test_no_scene_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="n is 0; at least 1 scene is wanted"):
        scatter(shipped_demonstrations("can"), "can", 0, tmp_path / "scenes.hdf5")
