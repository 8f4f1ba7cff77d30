"""The summary of a file, against numbers computed from it directly."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ddpm_edu.data.inspection import inspect
from ddpm_edu.errors import DatasetError


def test_the_summary_tells_what_is_in_the_file(write_file) -> None:
    path = write_file([12, 5], names=["demo_10", "demo_9"], images=True, masks={"train": ["demo_9"]})
    summary = inspect(path)
    assert (summary.path, summary.size) == (path, path.stat().st_size)
    assert (summary.env_name, summary.env_version) == ("PickPlaceCan", "1.5.2")
    assert (summary.names, summary.lengths, summary.steps) == (("demo_9", "demo_10"), (5, 12), 17)
    assert summary.masks == {"train": 1}
    assert summary.attributes == {"num_samples": 2, "model_file": 2}
    keys = {key.name: key for key in summary.keys}
    assert keys["obs/agentview_image"].shape == (84, 84, 3)
    assert (keys["obs/agentview_image"].dtype, keys["obs/object"].dtype) == ("uint8", "float64")
    with h5py.File(path) as file:
        values = np.concatenate([file[f"data/{name}/obs/object"][:] for name in summary.names])
    assert (keys["obs/object"].minimum, keys["obs/object"].maximum) == (values.min(), values.max())

    assert keys["obs/object"].mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-12)
    assert keys["obs/object"].deviation == pytest.approx(values.std(), rel=1e-9)
    assert summary.problem is None

    text = str(summary)
    assert "demonstrations  2 (demo_9 to demo_10)" in text
    assert "steps           17: 5 to 12 each, mean 8.5" in text
    assert "masks           train (1)" in text


def test_other_robots_files_can_be_looked_at_but_not_trained_on(write_file) -> None:
    path = write_file([4, 4])
    with h5py.File(path, "a") as file:
        file["data"].attrs["env_args"] = '{"env_name": "TwoArmTransport"}'
        for group in file["data"].values():
            del group["obs/object"]
            group["actions"][1, 1] = np.nan
    summary = inspect(path)
    assert summary.problem is None  # there is no task to hold it against
    assert (summary.env_name, summary.env_version) == ("TwoArmTransport", "unknown")
    assert np.isnan({key.name: key for key in summary.keys}["actions"].maximum)


def test_demonstrations_that_differ_are_named(write_file) -> None:
    path = write_file([4, 4])
    with h5py.File(path, "a") as file:
        del file["data/demo_1/obs/object"]
    with pytest.raises(DatasetError, match="demo_1 has no 'obs/object', unlike the first"):
        inspect(path)
    with h5py.File(path, "a") as file:
        file["data/demo_1/obs/object"] = np.zeros((4, 13))
    with pytest.raises(DatasetError, match=r"demo_1/obs/object has steps of shape \(13,\) and dtype float64"):
        inspect(path)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/actions"]
    with pytest.raises(DatasetError, match="demo_0/actions is missing"):
        inspect(path)


def test_links_are_refused_here_too(write_file) -> None:
    path = write_file([4])
    with h5py.File(path, "a") as file:
        file["data/demo_0/obs/loop"] = h5py.SoftLink("/data")
    with pytest.raises(DatasetError, match="demo_0/obs/loop is a link to :/data"):
        inspect(path)


def test_a_ring_of_groups_is_refused(write_file) -> None:
    path = write_file([4])
    with h5py.File(path, "a") as file:
        file["data/demo_0/obs/ring"] = file["data/demo_0"]
    with pytest.raises(DatasetError, match="lies 8 groups deep"):
        inspect(path)


def test_missing_files_are_refused(tmp_path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        inspect(tmp_path / "none.hdf5")
