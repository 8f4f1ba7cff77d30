"""Both processes against what is known in closed form; flow matching against two exact velocities."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ddpm_edu.diffusion.forward import add_noise
from ddpm_edu.diffusion.processes import PROCESSES, FlowConfig, FlowProcess, GaussianConfig
from ddpm_edu.errors import ConfigError

K = 100


def velocity_of(means: list[float], deviations: list[float], weights: list[float]) -> Callable:
    """The mean of epsilon - x_0 given x_u, where x_0 comes from a mixture of Gaussians.

    For one Gaussian N(m, s²) it is linear: x_u has variance (1-u)² s² + u², and covariance u - (1-u) s² with
    the velocity.
    """
    m, s, w = (torch.tensor(values, dtype=torch.float64)[:, None] for values in (means, deviations, weights))

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        u = float(time) / K
        flat = x.double().reshape(1, -1)
        variance = (1 - u) ** 2 * s**2 + u**2  # (M, 1)
        off = flat - (1 - u) * m  # (M, B)
        of_each = -m + (u - (1 - u) * s**2) / variance * off
        share = torch.softmax(w.log() - 0.5 * (off**2 / variance + variance.log()), dim=0)
        return (share * of_each).sum(0).reshape(x.shape).to(x.dtype)

    return velocity


def sampled(velocity: Callable, count: int, **settings) -> Tensor:
    process = FlowConfig(clip_sample=False, num_train_timesteps=K, **settings).build()
    generator = torch.Generator().manual_seed(0)
    return process.sample(velocity, torch.zeros(count, 1, 1, dtype=torch.float64), generator=generator)


def first_draw(count: int) -> Tensor:
    return torch.randn(count, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_a_gaussians_flow_is_a_straight_rescaling() -> None:
    """The flow of one Gaussian carries epsilon to m + s epsilon; twice the steps halve Euler's error."""
    velocity, wanted = velocity_of([0.3], [0.2], [1.0]), 0.3 + 0.2 * first_draw(64)
    errors = {
        (solver, n): float((sampled(velocity, 64, solver=solver, num_inference_steps=n) - wanted).abs().max())
        for solver in ("euler", "midpoint")
        for n in (50, 100)
    }
    assert errors["euler", 100] < 0.02
    assert errors["midpoint", 100] < 2e-4
    assert 1.8 < errors["euler", 50] / errors["euler", 100] < 2.2
    assert errors["midpoint", 50] / errors["midpoint", 100] > 3.5


def test_two_heaps_keep_their_shares_and_spreads() -> None:
    velocity = velocity_of([-0.6, 0.5], [0.1, 0.1], [0.3, 0.7])
    x = sampled(velocity, 20_000, solver="midpoint", num_inference_steps=100).flatten()
    low, high = x[x < 0], x[x >= 0]
    assert len(low) / len(x) == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / len(x)))
    for heap, mean in ((low, -0.6), (high, 0.5)):
        assert float(heap.mean()) == pytest.approx(mean, abs=0.01)
        assert float(heap.std()) == pytest.approx(0.1, abs=0.005)


def test_the_path_of_flow_matching_is_straight_and_its_target_the_derivative() -> None:
    process = FlowProcess(FlowConfig())
    clean = torch.rand(3, 4, 2, dtype=torch.float64)
    noise, times = process.draw((3, 4, 2), torch.Generator().manual_seed(0))
    assert bool(((times >= 0) & (times < K)).all())
    noise, times = noise.double(), times.double()
    torch.testing.assert_close(process.add_noise(clean, noise, torch.zeros(3)), clean)
    torch.testing.assert_close(process.add_noise(clean, noise, torch.full((3,), 100.0)), noise)
    step = 1e-3
    slope = process.add_noise(clean, noise, times + step * K) - process.add_noise(clean, noise, times)
    torch.testing.assert_close(slope / step, process.target(clean, noise, times), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["flow", "gaussian"])
def test_given_entries_come_out_as_they_went_in(name: str) -> None:
    process = PROCESSES[name](num_inference_steps=4).build()
    data = torch.full((2, 4, 3), 0.5)
    mask = torch.zeros(2, 4, 3, dtype=torch.bool)
    mask[:, :2] = True
    seen = []
    out = process.sample(
        lambda x, time: 0.1 * x,
        data,
        mask,
        generator=torch.Generator().manual_seed(0),
        callback=lambda index, time, x: seen.append((index, time, torch.equal(x[mask], data[mask]))),
    )
    assert torch.equal(out[mask], data[mask])
    assert not torch.equal(out[~mask], data[~mask])
    assert [index for index, _, _ in seen] == [0, 1, 2, 3, 4]
    assert seen[-1][1] == -1
    assert all(given for *_, given in seen)


@pytest.mark.parametrize("clip", [True, False])
def test_a_velocity_that_points_outside_is_bent_back(clip: bool) -> None:
    process = FlowConfig(clip_sample=clip, num_inference_steps=5).build()
    out = process.sample(
        lambda x, time: x - 3, torch.zeros(4, 2, 1), generator=torch.Generator().manual_seed(0)
    )
    assert bool((out.abs() <= 1 + 1e-6).all()) == clip


def test_gaussian_draws_and_noise_are_the_course_formulas() -> None:
    process = GaussianConfig().build()
    noise, times = process.draw((5, 4, 3), torch.Generator().manual_seed(7))
    again = torch.Generator().manual_seed(7)
    assert torch.equal(noise, torch.randn(5, 4, 3, generator=again))
    assert torch.equal(times, torch.randint(0, K, (5,), generator=again))
    clean = torch.rand(5, 4, 3)
    assert torch.equal(
        process.add_noise(clean, noise, times), add_noise(process.schedule, clean, noise, times)
    )
    assert process.schedule is process.schedule  # made once, not at every step


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("steps", [1, 2, 10, 100, 300, 1000])
def test_a_schedule_that_never_reaches_noise_is_refused(schedule: str, steps: int) -> None:
    settings = {"num_train_timesteps": steps, "num_inference_steps": 1, "beta_schedule": schedule}
    if schedule == "squaredcos_cap_v2" or steps == 1000:
        assert float(GaussianConfig(**settings).build().schedule.alpha_bar[-1]) <= 1e-2
    else:
        with pytest.raises(ConfigError, match=r"ends at alpha_bar = [01]"):
            GaussianConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "heun"}, "flow.solver is 'heun'; it must be one of 'euler', 'midpoint'"),
        ({"num_inference_steps": 0}, "flow.num_inference_steps is 0; it must be at least 1"),
    ],
)
def test_settings_of_flow_matching_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FlowConfig(**settings)
