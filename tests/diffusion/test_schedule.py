"""Schedules: equal to diffusers', and refusing settings that would be ignored."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.diffusion.schedule import NoiseSchedule, make_noise_schedule, make_noise_scheduler
from ddpm_edu.errors import ConfigError

BETA_SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2"]


@pytest.mark.parametrize("beta_schedule", BETA_SCHEDULES)
@pytest.mark.parametrize("K", [1, 2, 10, 100, 1000])
def test_equal_to_diffusers(beta_schedule, K):
    theirs = DDPMScheduler(num_train_timesteps=K, beta_schedule=beta_schedule)
    ours = make_noise_schedule(K, beta_schedule)
    assert ours.beta.dtype == ours.alpha_bar.dtype == torch.float32
    torch.testing.assert_close(ours.beta, theirs.betas, rtol=5e-7, atol=1e-9)
    torch.testing.assert_close(ours.alpha, theirs.alphas, rtol=2e-7, atol=0)
    # A float32 product of K factors has drifted by up to about K roundings.
    torch.testing.assert_close(ours.alpha_bar, theirs.alphas_cumprod, rtol=3e-7 * max(K, 10) ** 0.5, atol=0)


def test_beta_range_reaches_the_linear_schedules():
    for name in ("linear", "scaled_linear"):
        theirs = DDPMScheduler(num_train_timesteps=50, beta_schedule=name, beta_start=1e-3, beta_end=0.3)
        built = make_noise_scheduler("ddpm", 50, name, beta_start=1e-3, beta_end=0.3)
        assert torch.equal(built.betas, theirs.betas)
        ours = make_noise_schedule(50, name, beta_start=1e-3, beta_end=0.3)
        torch.testing.assert_close(ours.beta, theirs.betas, rtol=5e-7, atol=0)


def test_squared_cosine_against_its_curve():
    schedule = make_noise_schedule(100)
    u = (torch.arange(99, dtype=torch.float64) + 1) / 100  # the last beta is capped
    curve = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(schedule.alpha_bar[:99].double(), curve, rtol=1e-4, atol=0)
    assert schedule.beta[-1] == pytest.approx(0.999)
    assert float(schedule.alpha_bar[-1]) == pytest.approx(2.4e-7, rel=0.05)


@given(
    K=st.integers(1, 300),
    name=st.sampled_from(BETA_SCHEDULES),
)
def test_derived_coefficients_agree(K, name):
    schedule = make_noise_schedule(K, name)
    one = torch.ones(K)
    torch.testing.assert_close(schedule.signal_scale**2 + schedule.noise_scale**2, one)
    torch.testing.assert_close(schedule.alpha + schedule.beta, one)
    assert (schedule.alpha_bar[1:] < schedule.alpha_bar[:-1]).all()
    torch.testing.assert_close(schedule.signal_to_noise, (schedule.signal_scale / schedule.noise_scale) ** 2)
    assert schedule.posterior_variance[0] == 0  # the last step back is certain
    assert (schedule.posterior_variance[1:] < schedule.beta[1:]).all()


def test_posterior_variance_equal_to_diffusers():
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    theirs = torch.stack([scheduler._get_variance(k) for k in range(1, 100)])
    torch.testing.assert_close(make_noise_schedule(100).posterior_variance[1:], theirs, rtol=1e-4, atol=0)


def test_from_scheduler():
    scheduler = DDIMScheduler(num_train_timesteps=20, beta_schedule="linear")
    torch.testing.assert_close(NoiseSchedule.from_scheduler(scheduler).beta, scheduler.betas, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("ddpm", DDPMScheduler), ("ddim", DDIMScheduler), ("dpm_solver++", DPMSolverMultistepScheduler)],
)
def test_scheduler_names(name, kind):
    scheduler = make_noise_scheduler(name, prediction_type="sample")
    assert isinstance(scheduler, kind)
    assert scheduler.config.num_train_timesteps == 100
    assert scheduler.config.prediction_type == "sample"
    torch.testing.assert_close(NoiseSchedule.from_scheduler(scheduler).beta, make_noise_schedule(100).beta)


def test_the_references_spacing_starts_below_pure_noise():
    """16 of 100 steps with "leading": the first level is 90, with alpha_bar 0.0195 instead of 2e-7."""
    scheduler = make_noise_scheduler("ddim", timestep_spacing="leading")
    scheduler.set_timesteps(16)
    assert scheduler.timesteps[0] == 90
    assert float(make_noise_schedule(100).alpha_bar[90]) == pytest.approx(0.0195, abs=1e-4)


def test_clip_reaches_every_scheduler():
    """A prediction of x_0 = 3 comes out as 1 when clipped and as 3 when not."""
    for name in ("ddpm", "ddim", "dpm_solver++"):
        for clip_sample, wanted in ((True, 1.0), (False, 3.0)):
            scheduler = make_noise_scheduler(name, prediction_type="sample", clip_sample=clip_sample)
            scheduler.set_timesteps(1)
            noisy = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
            clean = scheduler.step(torch.full_like(noisy, 3.0), scheduler.timesteps[0], noisy).prev_sample
            torch.testing.assert_close(clean, torch.full_like(noisy, wanted), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "euler"}, ["'euler'", "'ddpm'", "'dpm_solver++'"]),
        ({"prediction_type": "noise"}, ["prediction_type", "'noise'", "'epsilon'"]),
        ({"beta_schedule": "cosine"}, ["beta_schedule", "'cosine'", "'squaredcos_cap_v2'"]),
        ({"timestep_spacing": "even"}, ["timestep_spacing", "'even'", "'trailing'"]),
        ({"num_train_timesteps": 0}, ["num_train_timesteps", "0"]),
        ({"beta_start": 1e-4}, ["beta_start", "0.0001", "'squaredcos_cap_v2'"]),
        ({"beta_end": 0.02}, ["beta_end", "0.02", "'squaredcos_cap_v2'"]),
        ({"beta_schedule": "linear", "beta_start": 0.5, "beta_end": 0.1}, ["0.5", "0.1"]),
    ],
)
def test_refusals_name_what_is_wrong(settings, words):
    with pytest.raises(ConfigError) as error:
        make_noise_scheduler(**settings)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("betas", [[], [0.0, 0.1], [0.1, 1.0], [[0.1]]])
def test_impossible_betas(betas):
    with pytest.raises(ConfigError):
        NoiseSchedule(torch.tensor(betas))


@pytest.mark.parametrize(
    "timestep", [-1, 10, 2.0, torch.tensor([0, 1, 2]), torch.tensor([], dtype=torch.long)]
)
def test_impossible_timesteps(timestep):
    schedule = make_noise_schedule(10)
    with pytest.raises(ConfigError, match="timestep"):
        schedule.at(schedule.beta, timestep, like=torch.zeros(2, 4, 3))
