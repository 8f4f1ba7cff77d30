"""The exact denoisers against automatic differentiation, Tweedie's formula and plain integration."""

import pytest
import torch

from ddpm_edu.diffusion.closed_form import GaussianMixture
from ddpm_edu.diffusion.forward import add_noise
from ddpm_edu.diffusion.schedule import make_noise_schedule
from ddpm_edu.errors import ConfigError


@pytest.fixture
def mixture():
    means = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return GaussianMixture(
        means, torch.tensor([0.2, 0.5, 0.1]).double(), torch.tensor([0.2, 0.5, 0.3]).double()
    )


@pytest.mark.parametrize("alpha_bar", [1.0, 0.9, 0.3, 1e-3])
def test_score_is_the_gradient_of_the_log_density(mixture, alpha_bar):
    noisy = torch.randn(6, 2, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(mixture.log_density(noisy, alpha_bar).sum(), noisy)
    torch.testing.assert_close(mixture.score(noisy.detach(), alpha_bar), gradient)


@pytest.mark.parametrize("alpha_bar", [0.9, 0.3, 1e-3])
def test_posterior_mean_follows_from_the_score(mixture, alpha_bar):
    """Tweedie: E[x_0 | x_k] = (x_k + (1 - alpha_bar) score) / sqrt(alpha_bar)."""
    noisy = torch.randn(6, 2, 2, dtype=torch.float64)
    tweedie = (noisy + (1 - alpha_bar) * mixture.score(noisy, alpha_bar)) / alpha_bar**0.5
    torch.testing.assert_close(mixture.posterior_mean(noisy, alpha_bar), tweedie)


def test_density_and_posterior_mean_against_integration():
    """In one dimension, summing over a fine grid of x_0."""
    mixture = GaussianMixture.two_modes(
        torch.tensor([-0.6]).double(), torch.tensor([0.6]).double(), std=0.1, left_weight=0.3
    )
    alpha_bar, dx = 0.4, 1e-3
    clean = torch.arange(-2, 2, dx, dtype=torch.float64)
    prior = mixture.log_density(clean[:, None]).exp()
    assert float(prior.sum() * dx) == pytest.approx(1, abs=1e-9)
    for noisy in (-0.5, 0.0, 0.3):
        gauss = torch.distributions.Normal(alpha_bar**0.5 * clean, (1 - alpha_bar) ** 0.5)
        joint = prior * gauss.log_prob(torch.tensor(noisy).double()).exp()
        x = torch.tensor([[noisy]]).double()
        assert float(mixture.log_density(x, alpha_bar).exp()) == pytest.approx(
            float(joint.sum() * dx), rel=1e-6
        )
        mean = float((joint * clean).sum() / joint.sum())
        assert float(mixture.posterior_mean(x, alpha_bar)) == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_no_other_prediction_has_a_smaller_squared_error(mixture, prediction_type):
    """Drawn clean and noise: the error's gradient towards any shift or scaling of the denoiser is zero."""
    schedule, k, n = make_noise_schedule(100), 50, 100_000
    generator = torch.Generator().manual_seed(0)
    clean = mixture.draw(n, generator)
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    noisy = add_noise(schedule, clean, noise, k)
    a, s = float(schedule.signal_scale[k]), float(schedule.noise_scale[k])
    target = {"epsilon": noise, "sample": clean, "v_prediction": a * noise - s * clean}[prediction_type]
    prediction = mixture.denoiser(schedule, prediction_type)(noisy, k)
    error = prediction - target
    for direction in (torch.ones_like(error), prediction, noisy):
        product = (error * direction).flatten(1).mean(1)
        assert abs(float(product.mean())) < 4 * float(product.std()) / n**0.5


def test_points_and_draws():
    """std = 0 is a point; draws visit the modes in their shares."""
    points = GaussianMixture.two_modes(torch.tensor([-1.0]), torch.tensor([1.0]), std=0.0, left_weight=0.25)
    drawn = points.draw(4000, torch.Generator().manual_seed(0))
    assert set(drawn.flatten().tolist()) == {-1.0, 1.0}
    assert float((drawn < 0).float().mean()) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)
    responsibilities = points.responsibilities(torch.tensor([[0.0], [3.0]]), alpha_bar=0.5)
    torch.testing.assert_close(responsibilities[0], torch.tensor([0.25, 0.75]))
    assert responsibilities[1, 1] > 0.99


@pytest.mark.parametrize(
    ("stds", "weights", "words"),
    [
        ([0.1], [0.5, 0.5], "2 modes"),
        ([0.1, 0.1], [0.5], "2 modes"),
        ([0.1, -0.1], [0.5, 0.5], "negative"),
        ([0.1, 0.1], [0.5, 0.6], "sum to 1"),
    ],
)
def test_impossible_mixtures(stds, weights, words):
    with pytest.raises(ConfigError, match=words):
        GaussianMixture(torch.zeros(2, 3), torch.tensor(stds), torch.tensor(weights))
