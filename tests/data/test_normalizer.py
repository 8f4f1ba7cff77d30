"""The normalizer: limits, exact inverses, constant entries, and a state that does not load by halves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from torch import nn

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.normalizer import KeyNormalizer, Normalizer
from ddpm_edu.errors import CheckpointError, ConfigError, DatasetError


@pytest.fixture
def demonstrations(write_file) -> Demonstrations:
    return Demonstrations.read(write_file([30, 20, 25]), "can")


def as_tensors(demonstrations: Demonstrations) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in demonstrations.obs.items()}


def test_each_entry_fills_its_range_and_rotations_stay(demonstrations: Demonstrations) -> None:
    normalizer = Normalizer.from_spec("can").fit(demonstrations)
    obs = as_tensors(demonstrations)
    normalised = normalizer.normalize(obs)
    for name in ("object", "robot0_eef_pos", "robot0_gripper_qpos"):
        torch.testing.assert_close(normalised[name].amin(0), -torch.ones(obs[name].shape[1]))
        torch.testing.assert_close(normalised[name].amax(0), torch.ones(obs[name].shape[1]))
    assert torch.equal(normalised["robot0_eef_quat"], obs["robot0_eef_quat"])
    action = torch.from_numpy(demonstrations.action)
    assert torch.equal(normalizer["action"].normalize(action), action)


@given(
    values=st_numpy.arrays(
        np.float32, st.tuples(st.integers(2, 30), st.just(3)), elements=st.floats(-1000, 1000, width=32)
    ),
    mode=st.sampled_from(["limits", "gaussian", "identity"]),
)
def test_the_inverse_gives_the_values_back(values: np.ndarray, mode: str) -> None:
    normalizer = KeyNormalizer("values", [mode] * 3)
    normalizer.fit(values)
    assert (normalizer.scale > 0).all()
    normalised = normalizer.normalize(torch.from_numpy(values))
    if mode == "limits":
        assert normalised.abs().max() <= 1 + 1e-6
    back = normalizer.unnormalize(normalised).numpy()
    # float32 keeps 24 bits; three operations on numbers of the values' size lose a few of the last
    assert np.abs(back - values).max() <= 4 * np.finfo(np.float32).eps * max(1, np.abs(values).max())


def test_a_constant_entry_maps_to_zero_and_back() -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    values[:, 1], values[:, 2] = 0.83, 0.2 + 1e-6 * values[:, 0]
    for mode in ("limits", "gaussian"):
        normalizer = KeyNormalizer("values", [mode] * 4)
        normalizer.fit(values)
        normalised = normalizer.normalize(torch.from_numpy(values))
        assert (normalised[:, 1] == 0).all()
        assert normalised[:, 2].abs().max() < 1e-5
        assert (normalizer.unnormalize(normalised)[:, 1] == torch.tensor(0.83)).all()
        # An unseen value must not blow up: a range of 1e-6 taken as real would give 100,000 here.
        assert normalizer.normalize(torch.full((4,), 0.3))[2].abs() < 1


def test_gaussian_has_mean_0_and_deviation_1() -> None:
    values = np.random.default_rng(0).normal(3, 5, size=(400, 2)).astype(np.float32)
    normalizer = KeyNormalizer("values", ["gaussian"] * 2)
    normalizer.fit(values)
    normalised = normalizer.normalize(torch.from_numpy(values))
    torch.testing.assert_close(normalised.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(normalised.std(0, correction=0), torch.ones(2))


def test_images_map_to_one_and_keep_their_memory(write_file) -> None:
    demonstrations = Demonstrations.read(write_file([4], images=True), "can", "image")
    normalizer = Normalizer.from_spec("can", "image").fit(demonstrations)
    image = torch.from_numpy(demonstrations.obs["agentview_image"])
    normalised = normalizer["agentview_image"].normalize(image)
    assert (normalised.shape, normalised.dtype) == (image.shape, torch.float32)
    assert normalised.movedim(1, -1).is_contiguous()
    torch.testing.assert_close(normalised, 2 * (image / 255) - 1)
    ends = normalizer["agentview_image"].normalize(torch.tensor([0, 255], dtype=torch.uint8))
    assert ends.tolist() == [-1, 1]
    assert torch.equal(normalizer["agentview_image"].unnormalize(normalised), image)
    with pytest.raises(ConfigError, match=r"'agentview_image' is torch.float32; images must be torch.uint8"):
        normalizer["agentview_image"].normalize(normalised)


def test_absolute_actions_normalise_the_position_alone(demonstrations: Demonstrations) -> None:
    absolute = demonstrations.to_absolute()
    normalizer = Normalizer.from_spec("can", action="absolute").fit(absolute)
    action = torch.from_numpy(absolute.action)
    normalised = normalizer["action"].normalize(action)
    torch.testing.assert_close(normalised[:, :3].amax(0), torch.ones(3))
    assert torch.equal(normalised[:, 3:], action[:, 3:])
    with pytest.raises(
        ConfigError, match=r"'action' has shape \(75, 7\); its last axis must have 10 entries"
    ):
        normalizer.fit(demonstrations)


def test_modes_can_be_chosen(demonstrations: Demonstrations) -> None:
    normalizer = Normalizer.from_spec("can", modes={"action": "limits", "object": "gaussian"})
    normalizer.fit(demonstrations)
    action = normalizer["action"].normalize(torch.from_numpy(demonstrations.action))
    torch.testing.assert_close(action.amin(0), -torch.ones(7))
    obs = normalizer["object"].normalize(torch.from_numpy(demonstrations.obs["object"]))
    torch.testing.assert_close(obs.std(0, correction=0), torch.ones(14))


@pytest.mark.parametrize(
    ("modes", "message"),
    [
        ({"colour": "limits"}, "no key 'colour'.*'object'"),
        ({"object": "percentiles"}, "mode of 'object' is 'percentiles'"),
        ({"agentview_image": "limits"}, "'agentview_image'"),
        ({"object": "image"}, "'object' cannot have mode 'image'"),
    ],
)
def test_unknown_modes_are_refused(modes: dict[str, str], message: str) -> None:
    observation = "image" if "agentview_image" in modes else "low_dim"
    with pytest.raises(ConfigError, match=message):
        Normalizer.from_spec("can", observation, modes=modes)


def test_the_state_goes_with_the_policy(demonstrations: Demonstrations) -> None:
    fitted = nn.ModuleDict({"normalizer": Normalizer.from_spec("can").fit(demonstrations)})
    fresh = nn.ModuleDict({"normalizer": Normalizer.from_spec("can")})
    fresh.load_state_dict(fitted.state_dict())
    obs = as_tensors(demonstrations)
    expected = fitted["normalizer"].normalize(obs)
    for name, value in fresh["normalizer"].normalize(obs).items():
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize("strict", [True, False])
def test_a_state_that_does_not_fit_is_refused(demonstrations: Demonstrations, strict: bool) -> None:
    normalizer = Normalizer.from_spec("can").fit(demonstrations)
    with pytest.raises(CheckpointError, match=r"no 'fields.object.center'"):
        normalizer.load_state_dict({}, strict=strict)
    state = normalizer.state_dict()
    with pytest.raises(
        CheckpointError, match=r"'fields.action.center' has shape \(7,\); 'action' needs \(10,\)"
    ):
        Normalizer.from_spec("can", action="absolute").load_state_dict(state, strict=strict)
    state["fields.force.center"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"'fields.force.center' that this normalizer has no place for"):
        normalizer.load_state_dict(state, strict=strict)


def test_what_cannot_be_normalised_is_refused(demonstrations: Demonstrations) -> None:
    normalizer = Normalizer.from_spec("can").fit(demonstrations)
    with pytest.raises(ConfigError, match=r"no normalizer for 'colour'"):
        normalizer.normalize({"colour": torch.zeros(3)})
    with pytest.raises(ConfigError, match=r"'object' has shape \(2, 13\); its last axis must have 14"):
        normalizer.normalize({"object": torch.zeros(2, 13)})
    with pytest.raises(ConfigError, match="the demonstrations have no 'agentview_image'"):
        Normalizer.from_spec("can", "image").fit(demonstrations)
    demonstrations.obs["object"][3, 3] = np.nan
    with pytest.raises(DatasetError, match="'object' holds values that are not finite"):
        normalizer.fit(demonstrations)
    with pytest.raises(DatasetError, match="no values of 'x'"):
        KeyNormalizer("x", ["limits"]).fit(np.zeros((0, 1), np.float32))


def test_only_the_training_demonstrations_count(write_file) -> None:
    masks = {"train": ["demo_0", "demo_2"], "valid": ["demo_1"]}
    path: Path = write_file([10, 10, 10], masks=masks)
    train = Demonstrations.read(path, "can", filter_key="train")
    normalizer = Normalizer.from_spec("can").fit(train)
    expected = np.concatenate([train.obs["object"][:10], train.obs["object"][10:]])
    middle = (expected.max(0) + expected.min(0)) / 2
    np.testing.assert_allclose(normalizer["object"].center, middle, rtol=1e-6)
    everything = Normalizer.from_spec("can").fit(Demonstrations.read(path, "can"))
    assert not torch.equal(everything["object"].center, normalizer["object"].center)


def test_wider_numbers_come_back_as_float32() -> None:
    normalizer = KeyNormalizer("x", ["limits"])
    normalizer.fit(np.array([[0.0], [2.0]], np.float32))
    normalised = normalizer.normalize(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
    assert normalised.dtype == torch.float32
    assert normalised.tolist() == [[-1], [0]]
