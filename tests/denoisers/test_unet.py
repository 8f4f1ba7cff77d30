"""What the UNet computes beyond equality with the reference: conditions, types, lengths, refusals."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_edu.denoisers import ConditionalUnet1D
from ddpm_edu.denoisers.blocks import SinusoidalPosEmb
from ddpm_edu.errors import ConfigError


def small_unet(**changes):
    torch.manual_seed(0)
    return ConditionalUnet1D(
        **{"input_dim": 3, "down_dims": (8, 16), "diffusion_step_embed_dim": 8, "n_groups": 4, **changes}
    ).eval()


@settings(max_examples=40)
@given(
    levels=st.integers(1, 4),
    multiple=st.integers(1, 3),
    kernel_size=st.sampled_from([1, 3, 5]),
    local_cond_dim=st.sampled_from([None, 2]),
    global_cond_dim=st.sampled_from([None, 5]),
    cond_predict_scale=st.booleans(),
    batch_size=st.integers(1, 3),
)
def test_any_number_of_levels(levels, multiple, local_cond_dim, global_cond_dim, batch_size, **sizes):
    denoiser = small_unet(
        down_dims=[16] * levels, local_cond_dim=local_cond_dim, global_cond_dim=global_cond_dim, **sizes
    )
    T = multiple * denoiser.horizon_divisor
    assert denoiser.horizon_divisor == 2 ** (levels - 1)
    out = denoiser(
        torch.randn(batch_size, T, 3),
        5,
        local_cond=None if local_cond_dim is None else torch.randn(batch_size, T, local_cond_dim),
        global_cond=None if global_cond_dim is None else torch.randn(batch_size, global_cond_dim),
    )
    assert out.shape == (batch_size, T, 3)
    assert out.isfinite().all()


def test_every_parameter_is_used():
    """Also the second local encoder; with reference_compatible it alone gets no gradient."""
    for reference_compatible in (False, True):
        denoiser = small_unet(
            local_cond_dim=2,
            global_cond_dim=5,
            cond_predict_scale=True,
            reference_compatible=reference_compatible,
        )
        out = denoiser(torch.randn(2, 4, 3), 5, torch.randn(2, 4, 2), torch.randn(2, 5))
        out.square().sum().backward()
        unused = {name for name, p in denoiser.named_parameters() if p.grad is None}
        dead = {name for name, _ in denoiser.named_parameters() if name.startswith("local_encoder_up.")}
        assert unused == (dead if reference_compatible else set())


def test_local_condition_reaches_the_end_with_one_level():
    """One level has no way up; the encoding still arrives before the last layers."""
    denoiser = small_unet(down_dims=(8,), local_cond_dim=2)
    sample, local_cond = torch.randn(1, 4, 3), torch.randn(1, 4, 2)
    dead = small_unet(down_dims=(8,), local_cond_dim=2, reference_compatible=True)
    dead.load_state_dict(denoiser.state_dict())
    assert not torch.allclose(denoiser(sample, 1, local_cond), dead(sample, 1, local_cond))


def test_timestep_as_int_scalar_and_row():
    denoiser, sample = small_unet(), torch.randn(3, 4, 3)
    expected = denoiser(sample, torch.tensor([5, 5, 5]))
    for timestep in (5, torch.tensor(5), torch.tensor([5]), torch.tensor(5, dtype=torch.int32)):
        assert torch.equal(denoiser(sample, timestep), expected)
    mixed = denoiser(sample, torch.tensor([5, 6, 7]))
    torch.testing.assert_close(mixed[0], expected[0])
    assert not torch.allclose(mixed[1], expected[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_types(dtype):
    """An input of another type than the weights, and weights of another type."""
    denoiser = small_unet(global_cond_dim=5, cond_predict_scale=True)
    sample, cond = torch.randn(2, 4, 3), torch.randn(2, 5)
    expected = denoiser(sample, 5, global_cond=cond)
    mixed = denoiser(sample.to(dtype), 5, global_cond=cond.to(dtype))
    assert mixed.dtype == dtype
    torch.testing.assert_close(mixed.float(), expected, atol=0.1, rtol=0.1)
    if dtype != torch.float16:
        converted = copy.deepcopy(denoiser).to(dtype)(sample.to(dtype), 5, global_cond=cond.to(dtype))
        assert converted.dtype == dtype
        torch.testing.assert_close(converted.float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("cond_predict_scale", [True, False])
def test_autocast(cond_predict_scale):
    denoiser = small_unet(global_cond_dim=5, local_cond_dim=2, cond_predict_scale=cond_predict_scale)
    conditions = {"local_cond": torch.randn(2, 4, 2), "global_cond": torch.randn(2, 5)}
    sample = torch.randn(2, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        out = denoiser(sample, 5, **conditions)
    assert out.dtype == torch.float32  # of the sample, so a loss is computed in full precision
    torch.testing.assert_close(out, denoiser(sample, 5, **conditions), atol=0.1, rtol=0.1)


def test_sinusoidal_embedding_formula():
    embedding = SinusoidalPosEmb(6)(torch.tensor([0, 3]))
    frequency = torch.tensor([1, 10000**-0.5, 10000**-1.0])
    torch.testing.assert_close(embedding[0], torch.tensor([0.0, 0, 0, 1, 1, 1]))
    torch.testing.assert_close(embedding[1], torch.cat([(3 * frequency).sin(), (3 * frequency).cos()]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kernel_size": 4}, ["kernel_size", "4", "odd"]),
        ({"n_groups": 3}, ["n_groups 3", "8", "(8, 16)"]),
        ({"down_dims": ()}, ["down_dims", "()"]),
        ({"diffusion_step_embed_dim": 7}, ["7", "even"]),
        ({"diffusion_step_embed_dim": 2}, ["2", "4"]),
        ({"input_dim": 0}, ["input_dim", "0"]),
    ],
)
def test_impossible_sizes(changes, words):
    with pytest.raises(ConfigError) as error:
        small_unet(**changes)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"sample": torch.zeros(2, 6, 3)}, ["6 steps", "4 = 2^(3 - 1)", "horizon of 8", "(8, 8, 8)"]),
        ({"sample": torch.zeros(2, 0, 3)}, ["0 steps", "horizon of 4"]),
        ({"sample": torch.zeros(2, 8, 4)}, ["sample", "(2, 8, 4)", "(any, any, 3)"]),
        ({"sample": torch.zeros(8, 3)}, ["sample", "(8, 3)", "(B, T, Da)"]),
        ({"sample": torch.zeros(2, 8, 3, dtype=torch.long)}, ["sample", "int64", "floating"]),
        ({"timestep": torch.zeros(3)}, ["timestep", "(3,)", "(2,)"]),
        ({"timestep": torch.zeros(2, 1)}, ["timestep", "(2, 1)"]),
        ({"global_cond": None}, ["global_cond", "missing", "5"]),
        ({"global_cond": torch.zeros(2, 6)}, ["global_cond", "(2, 6)", "(2, 5)"]),
        ({"global_cond": torch.zeros(1, 5)}, ["global_cond", "(1, 5)", "(2, 5)"]),
        ({"local_cond": torch.zeros(2, 8, 2)}, ["local_cond", "(2, 8, 2)", "without"]),
    ],
)
def test_inputs_that_do_not_fit(call, words):
    denoiser = small_unet(down_dims=(8, 8, 8), global_cond_dim=5)
    arguments = {"sample": torch.zeros(2, 8, 3), "timestep": 5, "global_cond": torch.zeros(2, 5), **call}
    with pytest.raises(ConfigError) as error:
        denoiser(**arguments)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_local_condition_of_another_length():
    denoiser = small_unet(local_cond_dim=2)
    with pytest.raises(ConfigError, match=r"local_cond has shape \(1, 2, 2\).*\(1, 4, 2\)"):
        denoiser(torch.zeros(1, 4, 3), 0, local_cond=torch.zeros(1, 2, 2))
