"""Schedulers that visit the right levels for every number of steps; diffusers' own where those do."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.diffusion.closed_form import GaussianMixture
from ddpm_edu.diffusion.sampling import ddim_step, sample
from ddpm_edu.diffusion.schedule import NoiseSchedule, make_noise_schedule, make_noise_scheduler
from ddpm_edu.diffusion.schedulers import visited_timesteps
from ddpm_edu.errors import ConfigError

NAMES = ["ddpm", "ddim", "dpm_solver++"]


@given(K=st.integers(1, 1000), data=st.data())
def test_visited_levels(K, data):
    n = data.draw(st.integers(1, K))
    levels = visited_timesteps(K, n)
    jumps = [a - b for a, b in zip(levels, [*levels[1:], -1], strict=True)]
    assert len(levels) == n
    assert levels[0] == K - 1
    assert min(jumps) >= 1
    assert max(jumps) - min(jumps) <= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [7, 29, 60, 97, 100])
def test_numbers_of_steps_that_diffusers_gets_wrong(name, n):
    """There, 29 and 97 visit level -1, DDIM in 60 jumps too short, and DPM-Solver++ in 100 makes 99 steps."""
    mixture = GaussianMixture.gaussian(torch.full((1, 1), 0.4, dtype=torch.float64), 0.25)
    scheduler = make_noise_scheduler(name)
    denoise = mixture.denoiser(NoiseSchedule.from_scheduler(scheduler))
    zeros = torch.zeros(2000, 1, 1, dtype=torch.float64)
    result = sample(denoise, scheduler, zeros, None, n, torch.Generator().manual_seed(0))
    assert scheduler.timesteps.tolist() == visited_timesteps(100, n)
    assert float(result.mean()) == pytest.approx(0.4, abs=0.03)
    if n > 7:
        assert 0.19 < float(result.std()) < 0.27  # few steps make it narrower; diffusers' DDIM gives 0.39


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("clip_sample", [True, False])
@pytest.mark.parametrize("n", [1, 10, 100])
def test_equal_to_diffusers_where_n_divides_k(prediction_type, clip_sample, n):
    settings = {"prediction_type": prediction_type, "clip_sample": clip_sample}
    shared = {
        "num_train_timesteps": 100,
        "beta_schedule": "squaredcos_cap_v2",
        "timestep_spacing": "trailing",
    }
    variants = [{}, {"eta": 0.5}, {"eta": 1.0, "use_clipped_model_output": True}]
    for kind, name, all_arguments in ((DDPMScheduler, "ddpm", [{}]), (DDIMScheduler, "ddim", variants)):
        theirs, ours = kind(**settings, **shared), make_noise_scheduler(name, **settings)
        assert isinstance(ours, kind)
        theirs.set_timesteps(n)
        ours.set_timesteps(n)
        assert torch.equal(ours.timesteps, theirs.timesteps)
        for arguments in all_arguments:
            for k in theirs.timesteps:
                noisy, prediction = torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(int(k)))
                expected, result = (
                    scheduler.step(
                        prediction, k, noisy, generator=torch.Generator().manual_seed(1), **arguments
                    )
                    for scheduler in (theirs, ours)
                )
                assert torch.equal(result.prev_sample, expected.prev_sample)
                assert torch.equal(result.pred_original_sample, expected.pred_original_sample)


def test_ddim_goes_to_the_next_visited_level():
    scheduler, schedule = make_noise_scheduler("ddim"), make_noise_schedule()
    scheduler.set_timesteps(60)
    noisy, prediction = torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(0))
    levels = scheduler.timesteps.tolist()
    for k, previous in zip(levels, [*levels[1:], -1], strict=True):
        expected = ddim_step(schedule, prediction, k, noisy, previous)
        torch.testing.assert_close(
            scheduler.step(prediction, k, noisy).prev_sample, expected, atol=2e-5, rtol=0
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, 101])
def test_impossible_numbers_of_steps(name, n):
    with pytest.raises(ConfigError, match=f"num_inference_steps is {n}.*K = 100"):
        make_noise_scheduler(name).set_timesteps(n)


def test_a_level_that_is_not_visited():
    scheduler, x = make_noise_scheduler("ddim"), torch.zeros(1, 2, 3)
    with pytest.raises(ConfigError, match="set_timesteps"):
        scheduler.step(x, 99, x)
    scheduler.set_timesteps(10)
    with pytest.raises(ConfigError, match="timestep 98 is not visited"):
        scheduler.step(x, 98, x)
