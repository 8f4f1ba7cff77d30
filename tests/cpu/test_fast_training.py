"""Training on time-major tensors gives the plain modules' outputs and gradients."""

import copy
import logging
import pickle

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddpm_edu.cpu import accelerate_training, time_major, transformer_training, unet_training
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
    monkeypatch.setitem(
        fast_training.WAYS, ConditionalUnet1D, lambda *args, **kw: calls.append(1) or forward(*args, **kw)
    )
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


def test_says_once_that_nothing_is_known(caplog):
    other = torch.nn.Linear(1, 1)
    fast_training.say_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="ddpm_edu"):
        assert not accelerate_training(other)
        assert not accelerate_training(other)
    assert [record.message for record in caplog.records] == [
        "no faster training for Linear: nothing is known about it"
    ]


# ---- the transformer ----------------------------------------------------------------------------


def small_transformer(cond_dim=5, **variant):
    torch.manual_seed(0)
    transformer = TransformerForDiffusion(
        3, 3, horizon=6, n_obs_steps=3, cond_dim=cond_dim, n_layer=2, n_head=2, n_emb=8, **variant
    )
    for parameter in transformer.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return transformer


@needs_onednn
@settings(max_examples=20, deadline=None)
@given(
    cond_dim=st.sampled_from([0, 5]),
    time_as_cond=st.booleans(),
    n_cond_layers=st.sampled_from([0, 1]),
    causal_attn=st.booleans(),
    T=st.integers(1, 6),
    To=st.integers(1, 3),
    batch_size=st.integers(1, 5),
)
def test_a_transformers_outputs_and_gradients(cond_dim, T, To, batch_size, **variant):
    transformer = small_transformer(cond_dim, p_drop_attn=0.0, **variant)
    inputs = {"sample": torch.randn(batch_size, T, 3), "timestep": torch.randint(0, 100, (batch_size,))}
    inputs["cond"] = torch.randn(batch_size, To, cond_dim) if cond_dim else None
    plain = outputs_and_gradients(transformer, inputs)
    exact = outputs_and_gradients(
        copy.deepcopy(transformer).double(), {name: widen(value) for name, value in inputs.items()}
    )
    assert accelerate_training(transformer)
    assert_close(outputs_and_gradients(transformer, inputs), plain, exact)


@needs_onednn
def test_a_transformer_in_evaluation_drops_nothing_and_in_training_what_the_seed_says():
    transformer = small_transformer(p_drop_attn=0.4, p_drop_emb=0.2)
    inputs = (torch.randn(4, 6, 3), torch.arange(4), torch.randn(4, 3, 5))
    plain = transformer.eval()(*inputs)
    assert accelerate_training(transformer)
    torch.testing.assert_close(transformer(*inputs), plain, rtol=1e-5, atol=1e-5)
    transformer.train()
    torch.manual_seed(3)
    first, second = transformer(*inputs), transformer(*inputs)
    torch.manual_seed(3)
    assert torch.equal(transformer(*inputs), first)
    assert not torch.equal(first, second)


@needs_onednn
def test_a_transformers_attention_maps_are_kept_all_the_same():
    transformer = small_transformer()
    accelerate_training(transformer)
    with transformer.attention_maps() as maps:
        transformer(torch.randn(1, 6, 3), 0, torch.randn(1, 3, 5))
    assert [len(kept) for kept in maps.values()] == [1] * len(maps)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
def test_dropout_keeps_its_share_scaled_and_its_gradient_has_the_same_mask(p):
    torch.manual_seed(0)
    x = torch.ones(1001, 1003, requires_grad=True)  # not a multiple of four
    dropped = transformer_training.dropout(x, p)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], torch.full_like(dropped[kept], 1 / (1 - p)), rtol=2e-4, atol=0)
    deviation = (p * (1 - p) / x.numel()) ** 0.5
    assert abs(kept.float().mean().item() - (1 - p)) < 5 * deviation + 2**-17
    for columns in kept.float().unfold(1, 4, 4).mean((0, 1)):  # each of the four parts of a random word
        assert abs(columns.item() - (1 - p)) < 5 * 2 * deviation + 2**-17
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped.detach())

    layer = torch.nn.Dropout(p)
    torch.manual_seed(1)
    alone = transformer_training.dropout(x, p)
    torch.manual_seed(1)
    assert torch.equal(transformer_training.add(x, x, layer), torch.addcmul(x, x, alone.detach()))
    assert torch.equal(transformer_training.add(x, x, layer.eval()), x + x)


def test_everything_can_be_dropped():
    """PyTorch's layer allows p = 1."""
    assert transformer_training.dropout(torch.ones(5), 1.0).count_nonzero() == 0
