"""The encoder that tells the object's pose: its geometry is the simulator's."""

from __future__ import annotations

import pytest
import torch

from ddpm_edu.data.demonstrations import Demonstrations
from ddpm_edu.data.normalizer import Normalizer
from ddpm_edu.errors import ConfigError
from ddpm_edu.observation import LowDimEncoder, make_obs_encoder
from ddpm_edu.observation.object_pose import pose_in_hand
from ddpm_edu.paths import shipped_demonstrations
from ddpm_edu.tasks import get_task


@pytest.fixture(scope="module", params=["can", "square"])
def case(request):
    task = get_task(request.param)
    states = Demonstrations.read(shipped_demonstrations(task.name), task, max_demonstrations=20)
    normalizer = Normalizer.from_spec(task)
    normalizer.fit(states)
    rows = torch.arange(0, len(states.action), 7)
    obs = {name: torch.from_numpy(values)[rows] for name, values in states.obs.items()}
    encoder = make_obs_encoder(task, "image", backbone="small", tells="object", crop=None).eval()
    return task, encoder, normalizer, obs


def test_an_exact_estimate_gives_the_features_of_a_state_policy(case, monkeypatch):
    task, encoder, normalizer, obs = case
    encoder.set_units(normalizer)
    monkeypatch.setattr(encoder, "estimate", lambda *_: pose_in_hand(obs["object"]))
    normalized = normalizer.normalize(obs)
    features, wanted = encoder(normalized), LowDimEncoder(task.low_dim)(normalized)
    assert features.shape == (len(wanted), 23) == (len(wanted), encoder.obs_feature_dim)
    assert torch.equal(features[:, 14:], wanted[:, 14:])
    told = normalizer["object"].unnormalize(features[:, :14])
    # A quaternion and its negative are one rotation: the sign is a convention, the rest is not.
    for entries in (slice(3, 7), slice(10, 14)):
        told[:, entries] *= (told[:, entries] * obs["object"][:, entries]).sum(-1, keepdim=True).sign()
    assert torch.allclose(told, obs["object"], atol=1e-5)


def test_features_come_from_pictures_and_are_units_of_the_state(case):
    task, encoder, normalizer, obs = case
    encoder.set_units(normalizer)
    images = {key.name: torch.rand(len(obs["object"]), *key.shape) * 2 - 1 for key in task.image[:2]}
    features = encoder(normalizer.normalize(obs) | images)
    features.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    other = encoder(normalizer.normalize(obs) | {name: -image for name, image in images.items()})
    assert not torch.allclose(features[:, :14], other[:, :14])
    assert torch.equal(features[:, 14:], other[:, 14:])


def test_an_encoder_that_was_not_taught_says_so():
    task = get_task("can")
    encoder = make_obs_encoder(task, "image", backbone="small", tells="object", crop=None)
    with pytest.raises(ConfigError, match=r"has not been taught .* ddpm-edu see"):
        encoder({key.name: torch.zeros(1, *key.shape) for key in task.image})
