"""Windows against a slow implementation that anyone can check by eye, and batches that can be resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.windows import Batches, Windows, padding_after
from ddpm_edu.errors import CheckpointError, ConfigError
from ddpm_edu.tasks import CAN


def make_demonstrations(lengths: list[int], observation: str = "low_dim") -> Demonstrations:
    """Demonstrations whose every number says which row it belongs to."""
    N, generator = sum(lengths), np.random.default_rng(0)
    obs = {}
    for key in CAN.observation(observation):
        if key.type == "rgb":
            image = generator.integers(0, 256, (N, 84, 84, 3), np.uint8)
            obs[key.name] = np.moveaxis(image, -1, 1)
        else:
            obs[key.name] = generator.normal(size=(N, *key.shape)).astype(np.float32)
    action = generator.uniform(-1, 1, (N, 7)).astype(np.float32)
    names = [f"demo_{index}" for index in range(len(lengths))]
    return Demonstrations(CAN, observation, obs, action, np.cumsum(lengths), names, Path("memory"))


def naive_windows(demonstrations: Demonstrations, T: int, To: int, Ta: int) -> list[list[tuple[int, bool]]]:
    """For each window its T pairs (row, is_pad): built by padding each demonstration and sliding over it."""
    windows = []
    for index in range(len(demonstrations)):
        steps = demonstrations.steps(index)
        rows = list(range(steps.start, steps.stop))
        padded = [(rows[0], True)] * (To - 1) + [(row, False) for row in rows] + [(rows[-1], True)] * (Ta - 1)
        while not _executes_the_last(padded[-T:], To, Ta):
            padded.append((rows[-1], True))
        padded += [(rows[-1], True)] * (T - len(padded))  # too short for a single window
        windows += [padded[start : start + T] for start in range(len(padded) - T + 1)]
    return windows


def _executes_the_last(window: list[tuple[int, bool]], To: int, Ta: int) -> bool:
    """Whether, of a window at the end of a demonstration, its last action or one behind it is executed."""
    behind = sum(is_pad for _, is_pad in window[To:])  # the beginning of a short demonstration is padded, too
    return len(window) - (To - 1 + Ta) <= behind


@st.composite
def horizons(draw: st.DrawFn) -> tuple[int, int, int, int]:
    To, Ta = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    T = draw(st.integers(To - 1 + Ta, 20))
    return T, To, Ta, draw(st.integers(To, T))


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5), sizes=horizons())
def test_windows_equal_the_naive_ones(lengths: list[int], sizes: tuple[int, int, int, int]) -> None:
    T, To, Ta, obs_steps = sizes
    demonstrations = make_demonstrations(lengths)
    windows = Windows(demonstrations, T, To, Ta, obs_steps)
    expected = naive_windows(demonstrations, T, To, Ta)
    assert len(windows) == len(expected)

    batch = windows.batch(torch.arange(len(windows)))
    for index, window in enumerate(expected):
        rows, is_pad = zip(*window, strict=True)
        assert batch["is_pad"][index].tolist() == list(is_pad)
        assert np.array_equal(batch["action"][index], demonstrations.action[list(rows)])
        for name, values in demonstrations.obs.items():
            assert np.array_equal(batch["obs"][name][index], values[list(rows[:obs_steps])])


def test_the_default_horizons_by_hand() -> None:
    demonstrations = make_demonstrations([20, 20])
    windows = Windows(demonstrations, horizon=16, n_obs_steps=2, n_action_steps=8)
    assert len(windows) == 2 * (20 - 16 + 2 + 8 - 1)
    batch = windows.batch([0, 12, 13])
    assert batch["obs"]["object"].shape == (3, 2, 14)
    first, last, next_first = batch["action"]
    assert torch.equal(first, torch.from_numpy(demonstrations.action[[0, *range(15)]]))
    assert torch.equal(last, torch.from_numpy(demonstrations.action[[*range(11, 20), *[19] * 7]]))
    assert torch.equal(next_first, torch.from_numpy(demonstrations.action[[20, *range(20, 35)]]))
    assert batch["is_pad"].sum(dim=1).tolist() == [1, 7, 1]


@given(length=st.integers(1, 40), sizes=horizons())
def test_every_action_of_a_demonstration_is_executed_by_a_window(length: int, sizes: tuple[int, ...]) -> None:
    """With Ta - 1 padded steps only, T = 16 and Ta = 2 left the last 12 actions out, and a policy unable to
    put a nut down."""
    T, To, Ta, _ = sizes
    windows = Windows(make_demonstrations([length]), T, To, Ta)
    now = slice(To - 1, To - 1 + Ta)
    executed = windows.rows[:, now][~windows.is_pad[:, now]]
    assert executed.unique().tolist() == list(range(length))


@pytest.mark.parametrize(
    ("sizes", "after"),
    [((16, 2, 8), 7), ((16, 2, 2), 13), ((10, 2, 8), 7), ((10, 2, 2), 7), ((4, 2, 3), 2), ((1, 1, 1), 0)],
)
def test_padding_after_by_hand(sizes: tuple[int, int, int], after: int) -> None:
    assert padding_after(*sizes) == after
    assert Windows(make_demonstrations([50]), *sizes).is_pad[-1].sum() == after


def test_a_demonstration_shorter_than_the_padding_leaves_still_has_a_window() -> None:
    windows = Windows(make_demonstrations([3]), horizon=16, n_obs_steps=2, n_action_steps=8)
    assert len(windows) == 1
    assert windows.batch([0])["is_pad"][0].tolist() == [True, *[False] * 3, *[True] * 12]


def test_images_stay_uint8_with_channels_last_in_memory() -> None:
    demonstrations = make_demonstrations([9, 6], "image")
    batch = Windows(demonstrations, 8, 2, 4).batch([0, 5, 6])
    for camera in ("agentview_image", "robot0_eye_in_hand_image"):
        image = batch["obs"][camera]
        assert (image.shape, image.dtype) == ((3, 2, 3, 84, 84), torch.uint8)
        assert image.movedim(-3, -1).is_contiguous()
        assert np.array_equal(image[0, 1], demonstrations.obs[camera][0])
        assert np.array_equal(image[2, 1], demonstrations.obs[camera][9])


def test_images_are_not_copied_into_the_windows() -> None:
    demonstrations = make_demonstrations([9], "image")
    windows = Windows(demonstrations, 8, 2, 4)
    demonstrations.obs["agentview_image"][0] = 7
    assert (windows.batch([0])["obs"]["agentview_image"][0, 0] == 7).all()


@pytest.mark.parametrize("index", [-1, 13])
def test_an_unknown_window_is_refused(index: int) -> None:
    with pytest.raises(IndexError):
        Windows(make_demonstrations([20]), 16, 2, 8).batch([0, index])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((8, 2, 8, None), r"2 - 1 \+ 8 = 9 exceeds horizon 8.*at least 9.*at most 7"),
        ((0, 1, 1, None), "horizon is 0"),
        ((8, 0, 4, None), "n_obs_steps is 0"),
        ((8, 2, 0, None), "n_action_steps is 0"),
        ((8, 2, 4, 1), "obs_steps is 1; it must lie between n_obs_steps 2 and horizon 8"),
        ((8, 2, 4, 9), "obs_steps is 9"),
    ],
)
def test_impossible_horizons_are_refused(sizes: tuple[int, int, int, int | None], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Windows(make_demonstrations([20]), *sizes)


@given(size=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 5))
def test_each_epoch_holds_every_index_once(size: int, batch_size: int, seed: int) -> None:
    batches = Batches(size, batch_size, seed)
    drawn = torch.cat([next(batches) for _ in range(3 * size // batch_size + 1)])
    assert len(drawn) % batch_size == 0
    for epoch in drawn[: len(drawn) // size * size].view(-1, size):
        assert sorted(epoch.tolist()) == list(range(size))


@given(size=st.integers(1, 40), batch_size=st.integers(1, 50), before=st.integers(0, 9))
def test_resumed_batches_follow_as_if_never_stopped(size: int, batch_size: int, before: int) -> None:
    batches = Batches(size, batch_size, seed=3)
    for _ in range(before):
        next(batches)
    state = batches.state_dict()
    expected = [next(batches) for _ in range(8)]
    resumed = Batches(size, batch_size, seed=99)
    resumed.load_state_dict(state)
    assert torch.equal(torch.stack(expected), torch.stack([next(resumed) for _ in range(8)]))
    assert resumed.epoch == batches.epoch


def test_batches_do_not_touch_the_global_generator() -> None:
    state = torch.get_rng_state()
    next(Windows(make_demonstrations([20]), 16, 2, 8).batches(4, seed=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_and_seeds_differ() -> None:
    one, other = Batches(100, 100, seed=0), Batches(100, 100, seed=1)
    first = next(one)
    assert not torch.equal(first, next(one))
    assert not torch.equal(first, next(other))
    assert torch.equal(first, next(Batches(100, 100, seed=0)))


def test_a_state_of_other_windows_is_refused() -> None:
    with pytest.raises(CheckpointError, match="trained on 10 windows, and these demonstrations have 11"):
        Batches(11, 4).load_state_dict(Batches(10, 4).state_dict())


@pytest.mark.parametrize(("size", "batch_size"), [(0, 4), (4, 0)])
def test_empty_batches_are_refused(size: int, batch_size: int) -> None:
    with pytest.raises(ConfigError):
        Batches(size, batch_size)


@pytest.mark.parametrize("indices", [torch.tensor([False, True]), [True, False], [0.9, 1.9], torch.zeros(2)])
def test_masks_and_fractions_are_no_indices(indices) -> None:
    windows = Windows(make_demonstrations([5]), 4, 1, 1)
    with pytest.raises(IndexError, match=r"indices are torch\.(bool|float32); they must be whole numbers"):
        windows.batch(indices)
    assert len(windows.batch([])["action"]) == 0
