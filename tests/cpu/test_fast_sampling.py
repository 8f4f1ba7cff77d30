"""Sampling over packed weights gives the plain modules' outputs, and follows the weights."""

import copy
import logging
import pickle
from types import SimpleNamespace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from ddpm_edu.cpu import accelerate_sampling, packed
from ddpm_edu.cpu import sampling as fast_sampling
from ddpm_edu.cpu import training as fast_training
from ddpm_edu.denoisers import ConditionalUnet1D, TransformerForDiffusion
from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import make_policy

pytestmark = pytest.mark.skipif(not packed.is_available(), reason="PyTorch without oneDNN")
TIMESTEPS = torch.tensor([90, 50, 7, 0])


def shaken(denoiser):
    """Random norms and biases: at 1 and 0, where they start, a mistake would not show."""
    for parameter in denoiser.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return denoiser.eval()


def small_unet(**changes):
    torch.manual_seed(0)
    sizes = {"input_dim": 3, "down_dims": (8, 16), "diffusion_step_embed_dim": 8, "n_groups": 2}
    return shaken(ConditionalUnet1D(**{**sizes, **changes}))


def assert_same(denoiser, shape, **inputs):
    """At every step of a schedule, and at one that is not in it.

    To 1e-5 of the largest entry; ill-conditioned outputs to the plain path's own rounding errors.
    """
    trajectory, exactly = torch.randn(shape), copy.deepcopy(denoiser).double()
    wide_inputs = {name: value.double() for name, value in inputs.items()}
    assert accelerate_sampling(denoiser)
    denoise = denoiser.prepare_sampling(SimpleNamespace(timesteps=TIMESTEPS), **inputs)
    for timestep in (*TIMESTEPS, torch.tensor(33)):
        with torch.no_grad():
            plain = denoiser(trajectory, timestep, **inputs)
            exact = exactly(trajectory.double(), timestep, **wide_inputs)
        found = denoise(trajectory, timestep)
        assert not found.requires_grad
        tolerance = 1e-5 * exact.abs().max() + 8 * (plain - exact).abs().max()
        assert (found - exact).abs().max() <= tolerance


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
def test_unet(multiple, batch_size, **sizes):
    unet = small_unet(**sizes)
    T = multiple * unet.horizon_divisor
    assume(T * batch_size > 1)  # PyTorch's group norm refuses one step of one sample
    inputs = {}
    if unet.local_cond_dim:
        inputs["local_cond"] = torch.randn(batch_size, T, unet.local_cond_dim)
    if unet.global_cond_dim:
        inputs["global_cond"] = torch.randn(batch_size, unet.global_cond_dim)
    assert_same(unet, (batch_size, T, 3), **inputs)


@settings(max_examples=25, deadline=None)
@given(
    cond_dim=st.sampled_from([0, 5]),
    time_as_cond=st.booleans(),
    n_cond_layers=st.sampled_from([0, 2]),
    causal_attn=st.booleans(),
    T=st.integers(1, 6),
    To=st.integers(1, 3),
    batch_size=st.integers(1, 5),
)
def test_transformer(cond_dim, T, To, batch_size, **variant):
    torch.manual_seed(0)
    transformer = TransformerForDiffusion(
        3, 3, horizon=6, n_obs_steps=3, cond_dim=cond_dim, obs_as_cond=cond_dim > 0,
        n_layer=2, n_head=2, n_emb=8, **variant,
    )  # fmt: skip
    inputs = {"cond": torch.randn(batch_size, To, cond_dim)} if cond_dim else {}
    assert_same(shaken(transformer), (batch_size, T, 3), **inputs)


def test_an_encoder_with_attention_in_parts(monkeypatch):
    """Large batches are encoded a few steps at a time."""
    from ddpm_edu.cpu import transformer_sampling

    monkeypatch.setattr(transformer_sampling, "MAX_TOKENS", 10)
    transformer = TransformerForDiffusion(
        3, 3, horizon=4, n_obs_steps=2, cond_dim=5, n_layer=1, n_head=2, n_emb=8, n_cond_layers=1
    )
    assert_same(shaken(transformer), (3, 4, 3), cond=torch.randn(3, 2, 5))


# ---- in a policy --------------------------------------------------------------------------------

SMALL = {
    "unet": {"down_dims": (16, 32), "n_groups": 4, "diffusion_step_embed_dim": 16},
    "transformer": {"n_layer": 2, "n_head": 2, "n_emb": 16},
}


def low_dim_observation(policy, B):
    To = policy.n_obs_steps
    sizes = {"object": 14, "robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2}
    return {key: torch.randn(B, To, size) for key, size in sizes.items()}


@pytest.mark.parametrize("scheduler", ["ddpm", "ddim", "dpm_solver++"])
@pytest.mark.parametrize(
    ("denoiser", "conditioning"),
    [("unet", "global"), ("unet", "local"), ("unet", "inpainting"), ("transformer", "global"),
     ("transformer", "inpainting")],
)  # fmt: skip
def test_policy(denoiser, conditioning, scheduler):
    torch.manual_seed(0)
    policy = make_policy(
        "can", denoiser, conditioning, scheduler=scheduler, num_inference_steps=5, **SMALL[denoiser]
    )
    shaken(policy.denoiser)
    obs, B = low_dim_observation(policy, 2), 2

    def act():
        return policy.predict_action(obs, generator=torch.Generator().manual_seed(0))["action_pred"]

    fast = act()  # by itself
    assert accelerate_sampling(policy)
    policy.train()  # predict_action itself switches to evaluation
    assert torch.equal(act(), fast)
    accelerate_sampling(policy, on=False)
    plain = act()
    assert not torch.equal(fast, plain)  # another order of additions: the fast path was taken
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=2e-5)
    assert plain.shape == (B, policy.horizon, 7)


# ---- when weights change ------------------------------------------------------------------------


def prepared_output(denoiser, trajectory):
    denoise = denoiser.prepare_sampling(SimpleNamespace(timesteps=TIMESTEPS))
    return denoise(trajectory, TIMESTEPS[0])


def test_follows_the_weights():
    unet, trajectory = small_unet(), torch.randn(1, 4, 3)
    accelerate_sampling(unet)
    prepared_output(unet, trajectory)
    changes = {
        "optimiser": lambda: torch.optim.AdamW(unet.parameters(), lr=0.1, fused=True).step(),
        "load": lambda: unet.load_state_dict(small_unet().state_dict()),
        "data": lambda: [parameter.data.mul_(0.9) for parameter in unet.parameters()],
        "average": lambda: torch._foreach_lerp_(
            [p.detach() for p in unet.parameters()], [torch.ones_like(p) for p in unet.parameters()], 0.1
        ),
    }
    for parameter in unet.parameters():
        parameter.grad = torch.ones_like(parameter)
    for name, change in changes.items():
        change()
        with torch.no_grad():
            expected = unet(trajectory, 90)
        difference = (prepared_output(unet, trajectory) - expected).abs().max()
        assert difference <= 1e-5 * expected.abs().max(), name


@pytest.mark.parametrize("sizes", [(11, 7), (10, 8)])  # an odd number of entries, and an even one
@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.data[4:].add_(0.5),
        lambda weight: weight.detach().numpy().__setitem__((-1, -1), 3.0),
        lambda weight: weight.data.neg_(),
        lambda weight: weight.data.copy_(weight.data * (1 + 2**-23)),
    ],
)
def test_writes_behind_pytorchs_back_are_noticed(sizes, change):
    torch.manual_seed(0)
    keep = packed.KeptWhileUnchanged(lambda module: module.weight.detach().clone())
    layer = nn.Linear(*sizes)
    before = keep(layer)
    change(layer.weight)
    assert not torch.equal(layer.weight, before)
    assert torch.equal(keep(layer), layer.weight)


def test_packs_once_while_nothing_changes_and_frees_with_the_module(monkeypatch):
    made = []
    keep = packed.KeptWhileUnchanged(lambda module: made.append(module.weight.clone()) or made[-1])
    layer = nn.Linear(2, 2)
    assert keep(layer) is keep(layer)
    assert len(made) == 1
    with torch.no_grad():
        layer.weight.add_(1)
    assert torch.equal(keep(layer), layer.weight)
    assert len(made) == 2
    del layer
    assert len(keep.kept) == 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda unet: pickle.loads(pickle.dumps(unet))])
def test_a_copy_samples_with_its_own_weights(copied):
    unet, trajectory = small_unet(), torch.randn(1, 4, 3)
    accelerate_sampling(unet)
    prepared_output(unet, trajectory)
    twin = copied(unet)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert prepared_output(twin, trajectory).count_nonzero() == 0
    assert prepared_output(unet, trajectory).count_nonzero() > 0


# ---- where it does not apply --------------------------------------------------------------------


@pytest.fixture
def fast_preparations(monkeypatch):
    calls, prepare = [], fast_sampling.PREPARATIONS[ConditionalUnet1D]
    monkeypatch.setitem(
        fast_sampling.PREPARATIONS,
        ConditionalUnet1D,
        lambda *args, **kw: calls.append(1) or prepare(*args, **kw),
    )
    return calls


def test_the_plain_path_where_the_fast_one_would_not_do(fast_preparations):
    unet, trajectory = small_unet(), torch.randn(1, 4, 3)
    accelerate_sampling(unet)
    prepared_output(unet, trajectory)
    assert len(fast_preparations) == 1
    with torch.autocast("cpu", torch.bfloat16):
        prepared_output(unet, trajectory)
    handle = unet.final_block.register_forward_hook(lambda *_: None)
    prepared_output(unet, trajectory)
    handle.remove()
    prepared_output(unet.train(), trajectory)
    prepared_output(unet.eval().double(), trajectory.double())
    assert len(fast_preparations) == 1


@pytest.fixture
def small_policy():
    torch.manual_seed(0)
    return make_policy("can", "unet", num_inference_steps=4, **SMALL["unet"])


@pytest.mark.parametrize(
    "why",
    ["a large batch", "few steps", "little memory", "a hook on the denoiser", "another forward", "gradients"],
)
def test_left_to_itself_it_stays_plain_where_that_is_faster_or_wanted(
    why, small_policy, fast_preparations, monkeypatch
):
    policy, B = small_policy, 1
    policy.predict_action(low_dim_observation(policy, B))
    assert len(fast_preparations) == 1
    if why == "a large batch":
        B = fast_sampling.MAX_BATCH + 1
    elif why == "few steps":
        policy = policy.with_settings(num_inference_steps=3)
    elif why == "little memory":
        monkeypatch.setattr(fast_sampling, "memory_bytes", lambda: 10_000)
    elif why == "a hook on the denoiser":
        seen = []
        policy.denoiser.register_forward_hook(lambda *_: seen.append(1))
    elif why == "another forward":
        policy.denoiser.forward = lambda trajectory, *_, **__: 0 * trajectory
    else:
        condition = torch.zeros(1, policy.denoiser.global_cond_dim, requires_grad=True)
        denoise = fast_sampling.bind(
            policy.denoiser, SimpleNamespace(timesteps=TIMESTEPS), global_cond=condition
        )
        denoise(torch.randn(1, policy.horizon, 7), TIMESTEPS[0]).sum().backward()
        assert condition.grad.abs().sum() > 0
    policy.predict_action(low_dim_observation(policy, B))
    assert len(fast_preparations) == 1 + (why == "gradients")
    assert why != "a hook on the denoiser" or len(seen) == 4


def test_accelerated_training_does_not_hide_sampling(small_policy, fast_preparations):
    fast_training.accelerate_training(small_policy)
    small_policy.predict_action(low_dim_observation(small_policy, 1))
    assert len(fast_preparations) == 1


def test_attention_maps_are_kept_all_the_same():
    transformer = TransformerForDiffusion(3, 3, horizon=4, cond_dim=0, n_layer=1, n_head=2, n_emb=8).eval()
    accelerate_sampling(transformer)
    with transformer.attention_maps() as maps:
        prepared_output(transformer, torch.randn(1, 4, 3))
    assert [len(kept) for kept in maps.values()] == [1] * len(maps)


def test_refuses_what_the_plain_one_refuses():
    unet = small_unet(global_cond_dim=5)
    accelerate_sampling(unet)
    denoise = unet.prepare_sampling(SimpleNamespace(timesteps=TIMESTEPS), global_cond=torch.randn(2, 5))
    with pytest.raises(ConfigError, match="has 3 steps"):
        denoise(torch.randn(2, 3, 3), TIMESTEPS[0])
    with pytest.raises(ConfigError, match="global_cond is missing"):
        prepared_output(unet, torch.randn(2, 4, 3))


def test_says_once_that_a_denoiser_is_unknown(caplog):
    fast_training.say_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="ddpm_edu"):
        assert not accelerate_sampling(nn.Linear(1, 1))
        assert not accelerate_sampling(nn.Linear(1, 1))
    assert [record.message for record in caplog.records] == [
        "no faster sampling for Linear: nothing is known about it"
    ]
