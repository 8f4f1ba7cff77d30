"""What is given, and what gets a loss."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpm_edu.diffusion.masking import clamp_conditioned, make_condition_mask, masked_mse
from ddpm_edu.errors import ConfigError


@st.composite
def mask_settings(draw):
    horizon = draw(st.integers(1, 8))
    return {
        "batch_size": draw(st.integers(1, 5)),
        "horizon": horizon,
        "action_dim": draw(st.integers(1, 3)),
        "obs_feature_dim": draw(st.integers(0, 4)),
        "n_obs_steps": draw(st.integers(1, horizon)),
        "fix_obs_steps": draw(st.booleans()),
        "past_action_visible": draw(st.booleans()),
    }


@given(settings=mask_settings(), seed=st.integers(0, 2**32 - 1))
def test_condition_mask(settings, seed):
    """Entry by entry, from the number of steps that each sample's own mask shows."""
    settings["obs_feature_dim"] += 1
    mask = make_condition_mask(**settings, generator=torch.Generator().manual_seed(seed))
    B, T, Da = settings["batch_size"], settings["horizon"], settings["action_dim"]
    assert mask.shape == (B, T, Da + settings["obs_feature_dim"])
    assert mask.dtype == torch.bool
    for row in mask:
        given_steps = int(row[:, Da].sum())
        if settings["fix_obs_steps"]:
            assert given_steps == settings["n_obs_steps"]
        assert 1 <= given_steps <= settings["n_obs_steps"]
        for t in range(T):
            assert (row[t, Da:] == (t < given_steps)).all()
            visible = settings["past_action_visible"] and t < given_steps - 1
            assert (row[t, :Da] == visible).all()


def test_random_masks_are_random_and_reproducible():
    def draw(generator):
        return make_condition_mask(64, 8, 2, 3, 4, fix_obs_steps=False, generator=generator)

    generator = torch.Generator().manual_seed(0)
    first, second = draw(generator), draw(generator)
    assert not torch.equal(first, second)  # a new, unseeded generator per call would repeat itself
    assert torch.equal(first, draw(torch.Generator().manual_seed(0)))
    assert set(first[:, :, -1].sum(1).tolist()) == {1, 2, 3, 4}
    torch.manual_seed(0)
    assert not torch.equal(draw(None), draw(None))


@pytest.mark.parametrize("n_obs_steps", [0, 9])
def test_impossible_observation_steps(n_obs_steps):
    with pytest.raises(ConfigError, match=f"n_obs_steps is {n_obs_steps}.*horizon 8"):
        make_condition_mask(1, 8, 2, 3, n_obs_steps)


def test_clamp():
    trajectory, data = torch.randn(2, 2, 4, 3)
    mask = torch.rand(2, 4, 3) < 0.5
    clamped = clamp_conditioned(trajectory, data, mask)
    assert torch.equal(clamped[mask], data[mask])
    assert torch.equal(clamped[~mask], trajectory[~mask])
    assert clamp_conditioned(trajectory, data, None) is trajectory


# ---- the loss ----------------------------------------------------------------------------------


def test_the_seeds_mean_divides_by_everything():
    """The project outline's lines: mse without reduction, times the mask, mean over each sample, mean."""
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 5, 8, 3, generator=generator)
    loss_mask = torch.rand(5, 8, 3, generator=generator) < 0.3
    element = torch.nn.functional.mse_loss(prediction, target, reduction="none") * loss_mask
    torch.testing.assert_close(
        masked_mse(prediction, target, loss_mask), element.reshape(5, -1).mean(1).mean()
    )
    torch.testing.assert_close(
        masked_mse(prediction, target, loss_mask, reduction="per_sample"), element.reshape(5, -1).mean(1)
    )
    assert torch.equal(masked_mse(prediction, target, loss_mask, reduction="none"), element)


def test_a_constant_error_has_its_own_size():
    """An error of 2 everywhere is a loss of 4, however much is masked: only "unmasked" says so."""
    prediction, target = torch.full((2, 4, 3), 2.0), torch.zeros(2, 4, 3)
    loss_mask = torch.zeros(2, 4, 3, dtype=torch.bool)
    loss_mask[0, :1] = True  # a quarter of the first sample, nothing of the second
    assert masked_mse(prediction, target, loss_mask, denominator="unmasked") == 4
    assert masked_mse(prediction, target, loss_mask, denominator="all") == 4 / 8
    per_sample = masked_mse(prediction, target, loss_mask, reduction="per_sample", denominator="unmasked")
    assert per_sample.tolist() == [4, 0]


@pytest.mark.parametrize("denominator", ["all", "unmasked"])
def test_padding_leaves_sum_and_divisor(denominator):
    """The loss of padded samples equals that of the same samples cut before the padding."""
    prediction, target = torch.randn(2, 3, 8, 7, generator=torch.Generator().manual_seed(0))
    is_pad = torch.zeros(3, 8, dtype=torch.bool)
    is_pad[:, 5:] = True
    loss_mask = torch.rand(3, 8, 7, generator=torch.Generator().manual_seed(1)) < 0.5
    for reduction in ("mean", "per_sample"):
        padded = masked_mse(prediction, target, loss_mask, is_pad, reduction, denominator)
        cut = masked_mse(
            prediction[:, :5], target[:, :5], loss_mask[:, :5], reduction=reduction, denominator=denominator
        )
        torch.testing.assert_close(padded, cut)
    # Divided by steps only, this would be 7 times too large.
    torch.testing.assert_close(
        masked_mse(prediction, target, is_pad=is_pad), (prediction - target)[:, :5].square().mean()
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)),
    garbage=st.sampled_from([1e30, float("inf"), float("nan")]),
    reduction=st.sampled_from(["mean", "per_sample", "none"]),
    denominator=st.sampled_from(["all", "unmasked"]),
)
def test_what_stands_under_the_mask_does_not_matter(seed, shape, garbage, reduction, denominator):
    generator = torch.Generator().manual_seed(seed)
    prediction, target = torch.randn(2, *shape, generator=generator)
    loss_mask = torch.rand(shape, generator=generator) < 0.5
    is_pad = torch.rand(shape[:2], generator=generator) < 0.3
    counts = loss_mask & ~is_pad[..., None]
    loss = masked_mse(prediction, target, loss_mask, is_pad, reduction, denominator)

    spoilt = torch.where(counts, prediction, torch.full_like(prediction, garbage)).requires_grad_()
    spoilt_target = torch.where(counts, target, torch.full_like(target, -garbage))
    spoilt_loss = masked_mse(spoilt, spoilt_target, loss_mask, is_pad, reduction, denominator)
    assert torch.equal(loss, spoilt_loss)
    spoilt_loss.sum().backward()
    assert (spoilt.grad[~counts] == 0).all()
    assert spoilt.grad.isfinite().all()


def test_nothing_counts():
    zeros = torch.zeros(2, 4, 3, dtype=torch.bool)
    assert masked_mse(torch.randn(2, 4, 3), torch.randn(2, 4, 3), zeros, denominator="unmasked") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target": torch.zeros(2, 4, 1)}, ["target", "(2, 4, 1)", "(2, 4, 3)"]),
        ({"loss_mask": torch.ones(2, 4, dtype=torch.bool)}, ["loss_mask", "(2, 4)", "(2, 4, 3)"]),
        ({"loss_mask": torch.ones(2, 4, 3)}, ["loss_mask", "float32", "bool"]),
        ({"is_pad": torch.ones(4, dtype=torch.bool)}, ["is_pad", "(4,)", "(2, 4)"]),
        ({"reduction": "sum"}, ["reduction", "'sum'"]),
        ({"denominator": "steps"}, ["denominator", "'steps'"]),
        ({"prediction": torch.zeros(0, 4, 3), "target": torch.zeros(0, 4, 3)}, ["(0, 4, 3)", "no samples"]),
    ],
)
def test_refusals_name_what_is_wrong(arguments, words):
    with pytest.raises(ConfigError) as error:
        masked_mse(**{"prediction": torch.zeros(2, 4, 3), "target": torch.zeros(2, 4, 3), **arguments})
    for word in words:
        assert word in str(error.value)
