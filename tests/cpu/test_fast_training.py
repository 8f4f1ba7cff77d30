"""Training on time-major tensors gives the plain modules' outputs and gradients."""

import copy
import logging
import pickle

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddpm_edu.cpu import accelerate_training, time_major, unet_training
from ddpm_edu.cpu import training as fast_training
from ddpm_edu.denoisers import ConditionalUnet1D, TransformerForDiffusion
from ddpm_edu.errors import ConfigError

needs_onednn = pytest.mark.skipif(not time_major.is_available(), reason="PyTorch without oneDNN")


def small_unet(**changes):
    torch.manual_seed(0)
    unet = ConditionalUnet1D(
        **{"input_dim": 3, "down_dims": (8, 16), "diffusion_step_embed_dim": 8, "n_groups": 2, **changes}
    )
    for parameter in unet.parameters():  # norms start at 1 and 0, where a mistake would not show
        parameter.data += 0.1 * torch.randn_like(parameter)
    return unet


def inputs_of(unet, B, T):
    def condition(*shape):
        return None if shape[-1] is None else torch.randn(*shape)

    return {
        "sample": torch.randn(B, T, unet.input_dim),
        "timestep": torch.randint(0, 100, (B,)),
        "local_cond": condition(B, T, unet.local_cond_dim),
        "global_cond": condition(B, unet.global_cond_dim),
    }


def outputs_and_gradients(unet, inputs):
    """By name: the output, and the gradients of a random function of it, of inputs and parameters."""
    unet.zero_grad()
    inputs = {
        name: value.clone().requires_grad_() if value is not None and value.is_floating_point() else value
        for name, value in inputs.items()
    }
    output = unet(**inputs)
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    (output * direction).sum().backward()
    leaves = {**inputs, **dict(unet.named_parameters())}
    return {
        "output": output.detach(),
        **{name: leaf.grad for name, leaf in leaves.items() if leaf is not None and leaf.is_leaf},
    }


def assert_close(fast, plain, exact=None):
    """To 1e-5 of a tensor's largest entry; ill-conditioned ones to the plain path's own rounding errors."""
    exact = exact or plain
    assert fast.keys() == plain.keys()
    for name, expected in exact.items():
        if expected is None:
            assert fast[name] is None, name
            continue
        rounding = (plain[name] - expected).abs().max()
        tolerance = 1e-5 * expected.abs().max().clamp(min=1e-3) + 8 * rounding
        difference = (fast[name] - expected).abs().max()
        assert difference <= tolerance, f"{name} differs by {difference:.1e}, allowed is {tolerance:.1e}"


@needs_onednn
@settings(max_examples=25, deadline=None)
@given(
    down_dims=st.sampled_from([(8,), (16, 8), (8, 16, 24), (8, 16, 16, 32)]),
    multiple=st.integers(1, 5),
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    local_cond_dim=st.sampled_from([None, 2]),
    global_cond_dim=st.sampled_from([None, 5]),
    cond_predict_scale=st.booleans(),
    reference_compatible=st.booleans(),
    batch_size=st.integers(1, 9),
)
def test_outputs_and_gradients_are_the_plain_ones(multiple, batch_size, **sizes):
    unet = small_unet(**sizes)
    T = multiple * unet.horizon_divisor
    assume(T * batch_size > 1)  # PyTorch's group norm refuses to be trained on one step of one sample
    inputs = inputs_of(unet, batch_size, T)
    plain = outputs_and_gradients(unet, inputs)
    exact = outputs_and_gradients(
        copy.deepcopy(unet).double(), {name: widen(value) for name, value in inputs.items()}
    )
    assert accelerate_training(unet)
    assert_close(outputs_and_gradients(unet, inputs), plain, exact)


def widen(x):
    return x.double() if x is not None and x.is_floating_point() else x


@needs_onednn
def test_laptop_size():
    """Also through a loss, and with sizes for which the library chooses other kernels."""
    unet = small_unet(
        down_dims=(64, 128, 256), kernel_size=5, n_groups=8, global_cond_dim=46, cond_predict_scale=True
    )
    inputs = inputs_of(unet, 32, 16)
    plain = outputs_and_gradients(unet, inputs)
    accelerate_training(unet)
    assert_close(outputs_and_gradients(unet, inputs), plain)


@needs_onednn
def test_norm_and_mish_at_the_ends_of_the_range():
    """Large activations overflow no exponential, small ones lose no digits."""
    torch.manual_seed(0)
    x, weight = torch.randn(4, 3, 16), torch.logspace(-8, 8, 16)
    leaves = [leaf.requires_grad_() for leaf in (x, weight, torch.randn(16))]
    fast = time_major.norm_mish(*leaves, n_groups=2, eps=1e-5)
    plain = F.mish(F.group_norm(leaves[0].permute(1, 2, 0), 2, *leaves[1:])).permute(2, 0, 1)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-7)
    direction = torch.randn_like(fast) / weight.detach()
    for ours, theirs in zip(
        torch.autograd.grad((fast * direction).sum(), leaves),
        torch.autograd.grad((plain * direction).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


@pytest.fixture
def fast_calls(monkeypatch):
    """How often the fast forward pass was taken."""
    calls, forward = [], unet_training.forward
    monkeypatch.setattr(unet_training, "forward", lambda *args, **kw: calls.append(1) or forward(*args, **kw))
    return calls


@needs_onednn
def test_on_and_off(fast_calls):
    unet = small_unet()
    inputs, names = inputs_of(unet, 2, 4), list(unet.state_dict())
    unet(**inputs)
    assert len(fast_calls) == 0
    accelerate_training(unet)
    unet(**inputs)
    assert len(fast_calls) == 1
    assert list(unet.state_dict()) == names
    accelerate_training(unet, on=False)
    unet(**inputs)
    assert len(fast_calls) == 1


@needs_onednn
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda unet: pickle.loads(pickle.dumps(unet))])
def test_a_copy_computes_with_its_own_weights(copied, fast_calls):
    unet = small_unet()
    accelerate_training(unet)
    twin = copied(unet)
    for parameter in twin.parameters():
        parameter.data.zero_()
    assert twin(**inputs_of(unet, 2, 4)).count_nonzero() == 0
    assert len(fast_calls) == 1


@needs_onednn
def test_the_plain_path_where_the_fast_one_would_not_do(fast_calls):
    unet = small_unet()
    inputs = inputs_of(unet, 2, 4)
    accelerate_training(unet)
    with torch.no_grad():
        unet(**inputs)
    with torch.autocast("cpu", torch.bfloat16):
        unet(**inputs)
    handle = unet.final_block.register_forward_hook(lambda *_: None)  # somebody wants to look inside
    unet(**inputs)
    handle.remove()
    unet.double()(**{name: widen(value) for name, value in inputs.items()})
    assert len(fast_calls) == 0


@needs_onednn
def test_refuses_what_the_plain_one_refuses():
    unet = small_unet(global_cond_dim=5)
    accelerate_training(unet)
    with pytest.raises(ConfigError, match="has 3 steps"):
        unet(torch.randn(2, 3, 3), 0, global_cond=torch.randn(2, 5))
    with pytest.raises(ConfigError, match="global_cond is missing"):
        unet(torch.randn(2, 4, 3), 0)


def test_says_once_that_there_is_nothing_to_gain(caplog):
    transformer = TransformerForDiffusion(3, 3, horizon=4, n_layer=1, n_head=1, n_emb=8)
    fast_training.say_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="ddpm_edu"):
        assert not accelerate_training(transformer)
        assert not accelerate_training(transformer)
    assert [record.message for record in caplog.records] == [
        "no faster training for TransformerForDiffusion: its plain modules are as fast"
    ]
