"""The reverse process: the project outline's loop, diffusers' steps, and distributions known exactly."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.diffusion.closed_form import GaussianMixture
from ddpm_edu.diffusion.sampling import ddim_step, ddpm_step, sample
from ddpm_edu.diffusion.schedule import NoiseSchedule, make_noise_schedule, make_noise_scheduler
from ddpm_edu.errors import ConfigError


def smooth_denoise(trajectory, timestep):
    """Some function of both arguments; what it predicts does not matter here."""
    return torch.tanh(trajectory.roll(1, dims=-1) + 0.01 * timestep)


def conditioned(B=3, T=4, D=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(B, T, D, generator=generator), torch.rand(B, T, D, generator=generator) < 0.4


# ---- the loop ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm_solver++"])
@pytest.mark.parametrize("given_entries", ["some", "none", "no mask"])
def test_equal_to_the_seeds_loop(name, given_entries):
    data, mask = conditioned()
    if given_entries != "some":
        mask = torch.zeros_like(mask)
    scheduler = make_noise_scheduler(name)
    generator = torch.Generator().manual_seed(7)
    trajectory = torch.randn(data.shape, generator=generator)
    scheduler.set_timesteps(10)
    for t in scheduler.timesteps:
        trajectory[mask] = data[mask]
        trajectory = scheduler.step(
            smooth_denoise(trajectory, t), t, trajectory, generator=generator
        ).prev_sample
    trajectory[mask] = data[mask]

    ours = sample(
        smooth_denoise,
        make_noise_scheduler(name),
        data,
        None if given_entries == "no mask" else mask,
        10,
        generator=torch.Generator().manual_seed(7),
    )
    assert torch.equal(ours, trajectory)


@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(["ddpm", "ddim", "dpm_solver++"]),
    steps=st.integers(1, 6),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_given_entries_come_out_exactly_and_stand_at_every_step(seed, name, steps, dtype):
    data, mask = conditioned(seed=seed)
    data = data.to(dtype)
    seen = []

    def denoise(trajectory, timestep):
        assert torch.equal(trajectory[mask], data[mask])
        seen.append(int(timestep))
        return smooth_denoise(trajectory, timestep).to(dtype)

    scheduler = make_noise_scheduler(name)
    result = sample(denoise, scheduler, data, mask, steps, torch.Generator().manual_seed(seed))
    assert torch.equal(result[mask], data[mask])
    assert result.dtype == dtype
    assert seen == scheduler.timesteps.tolist()


def test_callback_sees_every_level():
    data, mask = conditioned()
    calls = []
    result = sample(
        smooth_denoise,
        make_noise_scheduler("ddim"),
        data,
        mask,
        4,
        torch.Generator().manual_seed(0),
        callback=lambda *call: calls.append(call),
    )
    assert [(index, timestep) for index, timestep, _ in calls] == [
        (0, 99),
        (1, 74),
        (2, 49),
        (3, 24),
        (4, -1),
    ]
    for _, _, trajectory in calls:
        assert torch.equal(trajectory[mask], data[mask])
    assert torch.equal(calls[-1][2], result)
    noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(calls[0][2][~mask], noise[~mask])  # kept tensors are not written over later


def test_reproducible():
    data, mask = conditioned()

    def draw(generator):
        return sample(smooth_denoise, make_noise_scheduler("ddpm"), data, mask, 5, generator)

    generator = torch.Generator().manual_seed(0)
    first, second = draw(generator), draw(generator)
    assert torch.equal(first, draw(torch.Generator().manual_seed(0)))
    assert not torch.equal(first, second)


def test_one_generator_each_makes_trajectories_independent_of_their_neighbours():
    data, mask = conditioned(B=4)

    def draw(rows):
        generators = [torch.Generator().manual_seed(row) for row in rows]
        return sample(smooth_denoise, make_noise_scheduler("ddpm"), data[rows], mask[rows], 5, generators)

    assert torch.equal(draw([0, 1, 2, 3])[2:], draw([2, 3]))
    with pytest.raises(ConfigError, match="1 generators for a batch of 4"):
        sample(smooth_denoise, make_noise_scheduler(), data, mask, 5, [torch.Generator()])


def test_step_arguments_reach_the_scheduler():
    data, _ = conditioned()

    def draw(**step_kwargs):
        generator = torch.Generator().manual_seed(0)
        return sample(smooth_denoise, make_noise_scheduler("ddim"), data, None, 5, generator, **step_kwargs)

    assert not torch.equal(draw(), draw(eta=1.0))
    assert torch.equal(draw(), draw(eta=0.0))


def test_a_scheduler_with_its_own_scale_of_noise():
    """Euler works on x_0 + sigma · noise, not on our x_k: first draw and input must be scaled."""
    mixture = GaussianMixture.gaussian(torch.full((2, 1), 0.4, dtype=torch.float64), 0.2)
    scheduler = EulerDiscreteScheduler(num_train_timesteps=100, beta_schedule="linear", beta_end=0.2)
    schedule = NoiseSchedule.from_scheduler(scheduler)
    zeros = torch.zeros(4000, 2, 1, dtype=torch.float64)
    result = sample(mixture.denoiser(schedule), scheduler, zeros, None, 100, torch.Generator().manual_seed(0))
    assert float(result.mean()) == pytest.approx(0.4, abs=0.02)
    assert float(result.std()) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_inference_steps": 0}, ["num_inference_steps", "0", "K = 100"]),
        ({"num_inference_steps": 101}, ["num_inference_steps", "101", "K = 100"]),
        ({"condition_mask": torch.zeros(3, 4, 5)}, ["condition_mask", "float32", "bool"]),
        ({"condition_mask": torch.zeros(3, 4, dtype=torch.bool)}, ["condition_mask", "(3, 4)", "(3, 4, 5)"]),
    ],
)
def test_refusals_name_what_is_wrong(changes, words):
    data, mask = conditioned()
    arguments = {"condition_data": data, "condition_mask": mask, "num_inference_steps": 5, **changes}
    with pytest.raises(ConfigError) as error:
        sample(smooth_denoise, make_noise_scheduler(), **arguments)
    for word in words:
        assert word in str(error.value)


# ---- single steps ------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("clip_sample", [True, False])
@pytest.mark.parametrize("steps", [100, 10])
@pytest.mark.parametrize("beta_schedule", ["squaredcos_cap_v2", "linear"])
def test_single_steps_equal_diffusers(prediction_type, clip_sample, steps, beta_schedule):
    settings = {
        "num_train_timesteps": 100,
        "beta_schedule": beta_schedule,
        "prediction_type": prediction_type,
        "clip_sample": clip_sample,
    }
    schedule = make_noise_schedule(100, beta_schedule)
    ours = {"prediction_type": prediction_type, "clip_sample": clip_sample}
    # diffusers' own tables are float32, in which 1 - alpha_bar is coarse for the first few k: the outputs
    # agree to 2e-4 there. With tables of full precision in its place, the formulas agree to 1e-6.
    for precise, tolerance in ((False, 2e-4), (True, 1e-6)):
        ddpm, ddim = DDPMScheduler(**settings), DDIMScheduler(**settings)
        for scheduler in (ddpm, ddim):
            scheduler.set_timesteps(steps)
            if precise:
                scheduler.alphas_cumprod = schedule.alpha_bar_float64
        timesteps = ddpm.timesteps.tolist()
        assert timesteps == ddim.timesteps.tolist()
        for k, previous in zip(timesteps, [*timesteps[1:], -1], strict=True):
            generator = torch.Generator().manual_seed(k)
            noisy, prediction = torch.randn(2, 3, 16, 7, generator=generator, dtype=torch.float64)
            state = generator.get_state()
            theirs = ddpm.step(prediction, k, noisy, generator=generator).prev_sample
            noise = torch.randn(noisy.shape, generator=generator.set_state(state), dtype=torch.float64)
            result = ddpm_step(schedule, prediction, k, noisy, noise, previous, **ours)
            largest = float(theirs.abs().max())
            torch.testing.assert_close(result, theirs, rtol=0, atol=tolerance * largest)
            theirs = ddim.step(prediction, k, noisy).prev_sample
            result = ddim_step(schedule, prediction, k, noisy, previous, **ours)
            torch.testing.assert_close(result, theirs, rtol=0, atol=tolerance * float(theirs.abs().max()))


def test_a_perfect_prediction_leads_back_to_the_clean_trajectory():
    schedule = make_noise_schedule(100)
    clean = torch.rand(2, 16, 7, dtype=torch.float64) * 2 - 1
    noise = torch.randn_like(clean)
    for step in (lambda *a, **k: ddpm_step(*a, noise, **k), ddim_step):
        result = step(schedule, clean, 0, clean + 0.01 * noise, prediction_type="sample")
        torch.testing.assert_close(result, clean)


def test_a_step_must_go_down():
    schedule, x = make_noise_schedule(10), torch.zeros(1, 2, 3)
    for previous in (5, 6, -2):
        with pytest.raises(ConfigError, match="previous_timestep"):
            ddim_step(schedule, x, 5, x, previous)


# ---- distributions that are known --------------------------------------------------------------

N = 4000
"""Trajectories per test. Statistical errors: of a standard deviation 1/sqrt(2N) = 1.1 %."""


def draw_from(mixture, name, steps, K=1000):
    """Samples through the whole loop, with the exact denoiser."""
    scheduler = make_noise_scheduler(name, K, clip_sample=False)
    schedule = NoiseSchedule.from_scheduler(scheduler)
    data = torch.zeros(N, *mixture.means.shape[1:], dtype=torch.float64)
    return sample(mixture.denoiser(schedule), scheduler, data, None, steps, torch.Generator().manual_seed(0))


def largest_gap(values, mixture):
    """Kolmogorov and Smirnov's distance to the mixture's own distribution, for one-entry samples."""
    values = values.flatten().sort().values
    z = (values[:, None] - mixture.means.flatten()) / mixture.stds  # (N, M)
    cumulative = (mixture.weights * 0.5 * (1 + torch.erf(z / 2**0.5))).sum(1)  # (N,)
    rank = torch.arange(len(values)) / len(values)
    return float(torch.maximum((cumulative - rank).abs(), (cumulative - rank - 1 / len(values)).abs()).max())


@pytest.mark.parametrize(("name", "steps"), [("ddpm", 1000), ("ddim", 200), ("dpm_solver++", 50)])
def test_a_gaussian_is_recovered(name, steps):
    mean = torch.tensor([[0.4, -0.7], [0.0, 0.2]], dtype=torch.float64)  # (T, Da)
    result = draw_from(GaussianMixture.gaussian(mean, 0.25), name, steps)
    four_sigma = 4 * 0.25 / N**0.5
    torch.testing.assert_close(result.mean(0), mean, atol=four_sigma, rtol=0)
    torch.testing.assert_close(result.std(0), torch.full_like(mean, 0.25), atol=four_sigma / 2**0.5, rtol=0)
    correlation = torch.corrcoef(result.flatten(1).T) - torch.eye(4)
    assert float(correlation.abs().max()) < 4 / N**0.5


@pytest.mark.parametrize(("name", "steps"), [("ddpm", 1000), ("ddim", 200), ("dpm_solver++", 50)])
def test_two_modes_are_recovered(name, steps):
    left, right = torch.tensor([[-0.6]], dtype=torch.float64), torch.tensor([[0.6]], dtype=torch.float64)
    mixture = GaussianMixture.two_modes(left, right, std=0.1, left_weight=0.3)
    result = draw_from(mixture, name, steps)
    share_sigma = (0.3 * 0.7 / N) ** 0.5
    assert float((result < 0).double().mean()) == pytest.approx(0.3, abs=4 * share_sigma)
    assert largest_gap(result, mixture) < 1.95 / N**0.5  # exceeded by chance once in a thousand
    # The check itself tells a wrong share and a wrong spread apart from these.
    assert largest_gap(mixture.draw(N, torch.Generator().manual_seed(1)), mixture) < 1.95 / N**0.5
    assert largest_gap(result * 1.1, mixture) > 1.95 / N**0.5
    for wrong in (
        GaussianMixture.two_modes(left, right, std=0.1, left_weight=0.4),
        GaussianMixture.two_modes(left, right, std=0.15, left_weight=0.3),
    ):
        assert largest_gap(result, wrong) > 1.95 / N**0.5


@pytest.mark.parametrize("name", ["ddpm", "ddim"])
def test_few_steps_do_to_a_gaussian_exactly_what_the_recursion_says(name):
    """With a Gaussian every step is linear, so mean and spread after 100 steps are known without error."""
    mean, std, K = 0.4, 0.25, 100
    schedule = make_noise_schedule(K)
    mixture = GaussianMixture.gaussian(torch.tensor([[mean]], dtype=torch.float64), std)
    denoise = mixture.denoiser(schedule)
    zero, one = torch.zeros(1, 1, 1, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)

    def step(x, k, noise):
        if name == "ddpm":
            return ddpm_step(schedule, denoise(x, k), k, x, noise, clip_sample=False)
        return ddim_step(schedule, denoise(x, k), k, x, clip_sample=False)

    expected_mean, expected_variance = zero, one
    for k in reversed(range(K)):
        offset = step(zero, k, zero)
        slope, kick = step(one, k, zero) - offset, step(zero, k, one) - offset
        expected_mean = slope * expected_mean + offset
        expected_variance = slope**2 * expected_variance + kick**2
    result = draw_from(mixture, name, steps=K, K=K)
    assert float(result.mean()) == pytest.approx(float(expected_mean), abs=4 * std / N**0.5)
    assert float(result.std()) == pytest.approx(float(expected_variance.sqrt()), rel=4 / (2 * N) ** 0.5)
