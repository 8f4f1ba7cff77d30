"""Random scenes are states of the simulator, and the same seed gives the same ones."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.errors import ConfigError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.simulation.render_file import render
from ddpm_edu.simulation.scenes import scatter


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


def test_no_scene_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="n is 0; at least 1 scene is wanted"):
        scatter(shipped_demonstrations("can"), "can", 0, tmp_path / "scenes.hdf5")
