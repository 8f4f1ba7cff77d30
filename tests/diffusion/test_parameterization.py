"""epsilon, sample and v: every conversion, and every pair of them back and forth."""

import itertools

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.diffusion.forward import add_noise
from ddpm_edu.diffusion.parameterization import convert_prediction, training_target
from ddpm_edu.diffusion.schedule import make_noise_schedule
from ddpm_edu.errors import ConfigError

TYPES = ["epsilon", "sample", "v_prediction"]


@given(
    K=st.integers(1, 200),
    beta_schedule=st.sampled_from(["linear", "scaled_linear", "squaredcos_cap_v2"]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_every_prediction_gives_every_other(K, beta_schedule, seed, data):
    schedule = make_noise_schedule(K, beta_schedule)
    timestep = torch.tensor(data.draw(st.lists(st.integers(0, K - 1), min_size=1, max_size=4)))
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, len(timestep), 5, 3, generator=generator, dtype=torch.float64)
    noisy = add_noise(schedule, clean, noise, timestep)
    truth = {kind: training_target(schedule, clean, noise, timestep, kind) for kind in TYPES}
    for source, target in itertools.product(TYPES, TYPES):
        converted = convert_prediction(schedule, truth[source], noisy, timestep, source, target)
        # Scales are given out in float32; dividing by the smallest signal scale, 5e-4, costs three digits.
        torch.testing.assert_close(converted, truth[target], atol=5e-3, rtol=5e-3)


def test_conversions_are_inverse_to_each_other():
    """For any prediction, also one that fits no clean trajectory."""
    schedule = make_noise_schedule(100, "linear")
    prediction, noisy = torch.randn(
        2, 100, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    timestep = torch.arange(100)
    for source, target in itertools.permutations(TYPES, 2):
        there = convert_prediction(schedule, prediction, noisy, timestep, source, target)
        back = convert_prediction(schedule, there, noisy, timestep, target, source)
        torch.testing.assert_close(back, prediction, atol=1e-4, rtol=1e-4)


def test_velocity_equal_to_diffusers():
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    clean, noise = torch.randn(2, 100, 16, 7, generator=torch.Generator().manual_seed(2))
    timestep = torch.arange(100)
    ours = training_target(make_noise_schedule(100), clean, noise, timestep, "v_prediction")
    torch.testing.assert_close(ours, scheduler.get_velocity(clean, noise, timestep), atol=5e-6, rtol=0)


def test_unknown_type():
    schedule, x = make_noise_schedule(10), torch.zeros(1, 2)
    for call in (
        lambda: convert_prediction(schedule, x, x, 0, "noise", "sample"),
        lambda: convert_prediction(schedule, x, x, 0, "sample", "noise"),
        lambda: training_target(schedule, x, x, 0, "noise"),
    ):
        with pytest.raises(ConfigError, match="'noise'"):
            call()
