"""The shipped demonstrations, read by us and by robomimic's own dataset class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.windows import Windows
from ddpm_edu.errors import DatasetError
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.third_party import import_robomimic


@pytest.mark.slow
def test_windows_equal_robomimics_sequences() -> None:
    """robomimic's item t holds the To - 1 steps before t and what follows, padded by repetition, as ours."""
    T, To, Ta = 16, 2, 8
    path = shipped_demonstrations("can")
    demonstrations = Demonstrations.read(path, "can", filter_key="valid", max_demonstrations=2)
    windows = Windows(demonstrations, T, To, Ta, obs_steps=T)
    sequences = import_robomimic("robomimic.utils.dataset").SequenceDataset(
        hdf5_path=str(path),
        obs_keys=tuple(demonstrations.obs),
        dataset_keys=("actions",),
        frame_stack=To,
        seq_length=T - To + 1,
        get_pad_mask=True,
        load_next_obs=False,
        hdf5_cache_mode=None,
        hdf5_use_swmr=False,
        filter_by_attribute="valid",
    )
    window = 0
    for demo, name in enumerate(demonstrations.names):
        first_item = sequences._demo_id_to_start_indices[name]
        for now in range(demonstrations.lengths[demo] - T + To + Ta - 1):
            item, batch = sequences[first_item + now], windows.batch([window])
            np.testing.assert_array_equal(batch["action"][0], item["actions"].astype(np.float32))
            np.testing.assert_array_equal(~batch["is_pad"][0], item["pad_mask"][:, 0])
            for key, values in batch["obs"].items():
                np.testing.assert_array_equal(values[0], item["obs"][key].astype(np.float32))
            window += 1
    assert window == len(windows)


@pytest.mark.parametrize("task", ["can", "square"])
def test_train_and_valid_share_nothing_and_leave_nothing_out(task: str) -> None:
    path = shipped_demonstrations(task)
    everything, train, valid = (
        Demonstrations.read(path, task, filter_key=k) for k in (None, "train", "valid")
    )
    assert len(everything) == 200
    assert set(train.names).isdisjoint(valid.names)
    assert set(train.names) | set(valid.names) == set(everything.names)
    assert torch.from_numpy(everything.action).abs().max() <= 1


def test_the_other_tasks_file_is_refused() -> None:
    with pytest.raises(DatasetError, match="holds demonstrations of PickPlaceCan; the task 'square' needs"):
        Demonstrations.read(shipped_demonstrations("can"), "square")
