"""What the transformer computes beyond equality with the reference: who sees whom, types, refusals."""

import copy

import pytest
import torch
from torch import nn

from ddpm_edu.denoisers import TransformerForDiffusion
from ddpm_edu.errors import ConfigError

SIZES = {"input_dim": 3, "output_dim": 3, "horizon": 6, "n_layer": 2, "n_head": 2, "n_emb": 16}


def small_transformer(**changes):
    torch.manual_seed(0)
    denoiser = TransformerForDiffusion(**{**SIZES, **changes}).eval()
    with torch.no_grad():
        for parameter in denoiser.parameters():  # away from the tiny initialisation
            parameter.add_(0.2 * torch.randn_like(parameter))
    return denoiser


def influence(denoiser, cond_steps=0):
    """Which inputs reach which outputs: gradients of each step's output. (T, T) and (T, To) bool."""
    sample = torch.randn(1, SIZES["horizon"], 3, requires_grad=True)
    cond = torch.randn(1, cond_steps, 4, requires_grad=True) if cond_steps else None
    out = denoiser(sample, 5, cond)
    rows = []
    for step in range(sample.shape[1]):
        wanted = [sample] if cond is None else [sample, cond]
        gradients = torch.autograd.grad(out[0, step].sum(), wanted, retain_graph=True)
        rows.append([gradient[0].abs().sum(-1) > 0 for gradient in gradients])
    return [torch.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("time_as_cond", [True, False])
def test_causal_mask(time_as_cond):
    everything = torch.ones(6, 6, dtype=torch.bool)
    (seen,) = influence(small_transformer(causal_attn=True, time_as_cond=time_as_cond))
    assert torch.equal(seen, everything.tril())
    (seen,) = influence(small_transformer(causal_attn=False, time_as_cond=time_as_cond))
    assert torch.equal(seen, everything)


@pytest.mark.parametrize("time_as_cond", [True, False])
def test_memory_mask_hides_later_observations(time_as_cond):
    """Action token t sees the observations up to its own place: the first does not see the second one."""
    sizes = {"cond_dim": 4, "n_obs_steps": 3, "time_as_cond": time_as_cond}
    _, seen = influence(small_transformer(causal_attn=True, **sizes), cond_steps=3)
    assert torch.equal(seen, torch.ones(6, 3, dtype=torch.bool).tril())
    _, seen = influence(small_transformer(causal_attn=False, **sizes), cond_steps=3)
    assert seen.all()
    # Condition layers are not masked: through them every observation reaches every action.
    _, seen = influence(small_transformer(causal_attn=True, n_cond_layers=1, **sizes), cond_steps=3)
    assert seen.all() or not time_as_cond


@pytest.mark.parametrize("time_as_cond", [True, False])
@pytest.mark.parametrize("cond_dim", [0, 4])
@pytest.mark.parametrize("n_cond_layers", [0, 1])
def test_the_diffusion_step_and_every_parameter_matter(time_as_cond, cond_dim, n_cond_layers):
    denoiser = small_transformer(
        time_as_cond=time_as_cond,
        cond_dim=cond_dim,
        n_obs_steps=2,
        n_cond_layers=n_cond_layers,
        causal_attn=True,
    )
    assert denoiser.encoder_only == (not time_as_cond and cond_dim == 0)
    sample, cond = torch.randn(2, 6, 3), torch.randn(2, 2, 4) if cond_dim else None
    first, second = denoiser(sample, 5, cond), denoiser(sample, 50, cond)
    assert first.shape == (2, 6, 3)
    assert not torch.allclose(first, second)
    first.square().sum().backward()
    assert all(p.grad is not None for p in denoiser.parameters())


@pytest.mark.parametrize("causal_attn", [True, False])
@pytest.mark.parametrize(("T", "To"), [(6, 2), (5, 3), (1, 1), (2, 3)])
def test_shorter_inputs(T, To, causal_attn):
    """Masks are cut to length; with the causal mask a shorter trajectory gives the longer one's beginning."""
    denoiser = small_transformer(cond_dim=4, n_obs_steps=3, causal_attn=causal_attn)
    sample, cond = torch.randn(1, 6, 3), torch.randn(1, To, 4)
    short = denoiser(sample[:, :T], 5, cond)
    assert short.shape == (1, T, 3)
    if causal_attn:
        torch.testing.assert_close(short, denoiser(sample, 5, cond)[:, :T])


def test_timestep_as_int_scalar_and_row():
    denoiser, sample = small_transformer(), torch.randn(3, 6, 3)
    expected = denoiser(sample, torch.tensor([5, 5, 5]))
    for timestep in (5, torch.tensor(5), torch.tensor([5])):
        assert torch.equal(denoiser(sample, timestep), expected)
    mixed = denoiser(sample, torch.tensor([5, 6, 7]))
    torch.testing.assert_close(mixed[0], expected[0])
    assert not torch.allclose(mixed[1], expected[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("time_as_cond", [True, False])
def test_types(dtype, time_as_cond):
    denoiser = small_transformer(cond_dim=4, n_obs_steps=2, causal_attn=True, time_as_cond=time_as_cond)
    sample, cond = torch.randn(2, 6, 3), torch.randn(2, 2, 4)
    expected = denoiser(sample, 5, cond)
    for model in (denoiser, copy.deepcopy(denoiser).to(dtype)):
        out = model(sample.to(dtype), 5, cond.to(dtype))
        assert out.dtype == dtype
        torch.testing.assert_close(out.float(), expected, atol=0.15, rtol=0.1)


@pytest.mark.parametrize("time_as_cond", [True, False])
def test_autocast(time_as_cond):
    denoiser = small_transformer(cond_dim=4, n_obs_steps=2, causal_attn=True, time_as_cond=time_as_cond)
    sample, cond = torch.randn(2, 6, 3), torch.randn(2, 2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        out = denoiser(sample, 5, cond)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, denoiser(sample, 5, cond), atol=0.15, rtol=0.1)


def test_dropout_only_in_training():
    denoiser = small_transformer(p_drop_emb=0.5, p_drop_attn=0.5)
    sample = torch.randn(1, 6, 3)
    assert torch.equal(denoiser(sample, 5), denoiser(sample, 5))
    denoiser.train()
    assert not torch.equal(denoiser(sample, 5), denoiser(sample, 5))
    still = small_transformer(p_drop_emb=0.0, p_drop_attn=0.0).train()
    assert torch.equal(still(sample, 5), still(sample, 5))


def test_initialisation():
    torch.manual_seed(0)
    denoiser = TransformerForDiffusion(7, 7, 10, n_obs_steps=2, cond_dim=23, n_layer=2, n_head=4, n_emb=256)
    for name, parameter in denoiser.named_parameters():
        if "norm" in name:
            assert (parameter == (1 if name.endswith("weight") else 0)).all()
        elif name.endswith("bias"):
            assert (parameter == 0).all()
        else:
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_optimizer_groups():
    denoiser = small_transformer(cond_dim=4, n_obs_steps=2)
    decay, no_decay = denoiser.optimizer_groups(weight_decay=0.1)
    assert (decay["weight_decay"], no_decay["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in denoiser.named_parameters()}
    decayed = {names[id(p)] for p in decay["params"]}
    others = {names[id(p)] for p in no_decay["params"]}
    assert decayed | others == set(names.values())
    assert not decayed & others
    linear = {f"{name}.weight" for name, module in denoiser.named_modules() if isinstance(module, nn.Linear)}
    assert decayed == linear
    assert {"input_position", "cond_position", "final_norm.weight", "head.bias"} <= others


def test_attention_maps():
    """The kept weights are those that the fused kernel used, and asking for them changes nothing."""
    denoiser = small_transformer(cond_dim=4, n_obs_steps=2, causal_attn=True, n_cond_layers=1)
    sample, cond = torch.randn(2, 6, 3), torch.randn(2, 2, 4)
    expected = denoiser(sample, 5, cond)
    inputs = {}
    layer = denoiser.layers[1].cross_attention
    hook = layer.register_forward_hook(lambda _, args, out: inputs.update(context=args[1], out=out))
    with denoiser.attention_maps() as maps:
        assert torch.equal(denoiser(sample, 5, cond), expected)
        denoiser(sample, 6, cond)
    hook.remove()
    assert set(maps) == {
        "cond_encoder.0.self_attention",
        "layers.0.self_attention",
        "layers.0.cross_attention",
        "layers.1.self_attention",
        "layers.1.cross_attention",
    }
    weights = maps["layers.1.cross_attention"]
    assert [tuple(w.shape) for w in weights] == [(2, 2, 6, 3)] * 2
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(2, 2, 6))
    assert (weights[0][:, :, 0, 2] == 0).all()  # the first action does not see the second observation
    value = layer.value(inputs["context"]).unflatten(-1, (2, 8)).transpose(1, 2)  # (B, H, S, E/H)
    mixed = (weights[1] @ value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer.output(mixed), inputs["out"])
    denoiser(sample, 5, cond)
    assert len(weights) == 2  # nothing is kept outside


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_head": 3}, ["n_head 3", "n_emb 16"]),
        ({"n_emb": 15, "n_head": 1}, ["15", "even"]),
        ({"horizon": 0}, ["horizon", "0"]),
        ({"n_layer": 0}, ["n_layer", "0"]),
        ({"n_cond_layers": -1}, ["n_cond_layers", "-1"]),
        ({"obs_as_cond": True}, ["obs_as_cond", "cond_dim"]),
        ({"cond_dim": 4, "n_obs_steps": 0}, ["n_obs_steps", "0"]),
    ],
)
def test_impossible_sizes(changes, words):
    with pytest.raises(ConfigError) as error:
        TransformerForDiffusion(**{**SIZES, **changes})
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"sample": torch.zeros(2, 7, 3)}, ["7 steps", "6"]),
        ({"sample": torch.zeros(2, 0, 3)}, ["0 steps"]),
        ({"sample": torch.zeros(2, 6, 4)}, ["sample", "(2, 6, 4)", "(any, any, 3)"]),
        ({"timestep": torch.zeros(3)}, ["timestep", "(3,)", "(2,)"]),
        ({"cond": None}, ["cond", "missing", "4"]),
        ({"cond": torch.zeros(2, 3, 4)}, ["cond", "3 observation steps", "2"]),
        ({"cond": torch.zeros(2, 0, 4)}, ["cond", "0 observation steps"]),
        ({"cond": torch.zeros(2, 2, 5)}, ["cond", "(2, 2, 5)", "(2, any, 4)"]),
        ({"cond": torch.zeros(2, 4)}, ["cond", "(2, 4)", "(B, To, Do)"]),
    ],
)
def test_inputs_that_do_not_fit(call, words):
    denoiser = small_transformer(cond_dim=4, n_obs_steps=2)
    arguments = {"sample": torch.zeros(2, 6, 3), "timestep": 5, "cond": torch.zeros(2, 2, 4), **call}
    with pytest.raises(ConfigError) as error:
        denoiser(**arguments)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
