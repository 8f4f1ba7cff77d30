"""The forward process: equal to diffusers', and many single steps make the closed form."""

import pytest
import torch

from ddpm_edu.diffusion.forward import add_noise, add_noise_one_step, signal_to_noise
from ddpm_edu.diffusion.schedule import make_noise_schedule, make_noise_scheduler
from ddpm_edu.errors import ConfigError


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_closed_form_equal_to_diffusers(beta_schedule):
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 100, 16, 7, generator=generator)
    timestep = torch.arange(100)
    scheduler = make_noise_scheduler("ddpm", 100, beta_schedule)
    ours = add_noise(make_noise_schedule(100, beta_schedule), clean, noise, timestep)
    # diffusers takes 1 - alpha_bar in float32, which costs it three digits of the noise at k = 0.
    torch.testing.assert_close(ours, scheduler.add_noise(clean, noise, timestep), atol=5e-6, rtol=0)


def test_one_step_for_all_is_one_step_for_each():
    schedule = make_noise_schedule(10)
    clean, noise = torch.randn(2, 3, 4, 2, dtype=torch.float64)
    expected = add_noise(schedule, clean, noise, torch.tensor([4, 4, 4]))
    assert expected.dtype == torch.float64
    assert torch.equal(add_noise(schedule, clean, noise, 4), expected)
    assert torch.equal(add_noise(schedule, clean, noise, torch.tensor(4)), expected)


def test_single_steps_compose_to_the_closed_form():
    """Mean and variance of 4 steps, one by one, against q(x_k | x_0): exact in the coefficients."""
    schedule = make_noise_schedule(10)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    mean, variance = one, zero
    for k in range(5):
        mean = add_noise_one_step(schedule, mean, zero, k)
        shrink = add_noise_one_step(schedule, one, zero, k)
        variance = shrink**2 * variance + add_noise_one_step(schedule, zero, one, k) ** 2
    torch.testing.assert_close(mean, add_noise(schedule, one, zero, 4), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance, add_noise(schedule, zero, one, 4) ** 2, rtol=1e-6, atol=0)


def test_signal_to_noise():
    schedule = make_noise_schedule(100)
    like = torch.zeros(2, 16, 7)
    ratio = signal_to_noise(schedule, torch.tensor([0, 99]), like)
    assert ratio.shape == (2, 1, 1)
    alpha_bar = schedule.alpha_bar[[0, 99]].double()
    torch.testing.assert_close(ratio.flatten().double(), alpha_bar / (1 - alpha_bar), rtol=2e-4, atol=0)


def test_step_outside_the_schedule():
    with pytest.raises(ConfigError, match="between 0 and 9"):
        add_noise(make_noise_schedule(10), torch.zeros(1, 2), torch.zeros(1, 2), 10)
