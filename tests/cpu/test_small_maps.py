"""Convolutions of the image encoder over few cells have the plain gradients, sooner."""

import copy

import pytest
import torch
from torch import nn

from ddpm_edu.cpu import accelerate_training, time_major
from ddpm_edu.denoisers import ConditionalUnet1D

pytestmark = pytest.mark.skipif(not time_major.is_available(), reason="PyTorch without oneDNN")


def policy_with(convolution):
    torch.manual_seed(0)
    policy = nn.Module()
    policy.denoiser = ConditionalUnet1D(input_dim=3, down_dims=(8,), diffusion_step_embed_dim=8, n_groups=2)
    policy.obs_encoder = nn.Sequential(convolution, nn.Tanh())
    return policy


def gradients(encoder, x):
    """How the encoder's output (N, ...) came about, and with the gradients of x and of its parameters."""
    encoder.zero_grad()
    x = x.clone().requires_grad_()
    output = encoder[0](x)
    kind = type(output.grad_fn).__name__
    encoder[1](output).square().sum().backward()
    return kind, [output.detach(), x.grad, *(parameter.grad for parameter in encoder.parameters())]


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((3, 3), {"padding": 1, "bias": False}),  # ResNet's
        ((2, 4), {"padding": (0, 1), "kernel_size": (1, 3)}),
        ((1, 1), {"padding": 2, "kernel_size": 5}),
        ((3, 3), {}),
    ],
)
def test_gradients_are_the_plain_ones(size, settings):
    policy = policy_with(nn.Conv2d(512, 24, **{"kernel_size": 3, **settings}))
    x = torch.randn(5, 512, *size)
    usual, plain = gradients(policy.obs_encoder, x)
    accelerate_training(policy)
    kind, fast = gradients(policy.obs_encoder, x)
    assert kind != usual
    for found, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))

    bystander = copy.deepcopy(policy)
    with torch.no_grad():
        bystander.obs_encoder[0].weight.zero_()
    assert torch.equal(gradients(policy.obs_encoder, x)[1][0], fast[0])  # a copy has weights of its own
    accelerate_training(policy, on=False)
    assert gradients(policy.obs_encoder, x)[0] == usual


@pytest.mark.parametrize(
    ("size", "channels", "settings"),
    [
        ((4, 4), 512, {}),
        ((3, 3), 64, {}),
        ((3, 3), 512, {"stride": 2}),
        ((3, 3), 512, {"groups": 2}),
        ((3, 3), 512, {"padding_mode": "circular"}),
        ((3, 3), 512, {"padding": "same"}),
    ],
)
def test_others_stay_as_they_are(size, channels, settings):
    policy = policy_with(nn.Conv2d(channels, 8, 3, **{"padding": 1, **settings}))
    x = torch.randn(2, channels, *size)
    usual, plain = gradients(policy.obs_encoder, x)
    accelerate_training(policy)
    kind, found = gradients(policy.obs_encoder, x)
    assert kind == usual
    assert all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))


def test_the_plain_path_in_bf16_and_without_gradients():
    policy = policy_with(nn.Conv2d(512, 8, 3, padding=1))
    accelerate_training(policy)
    x = torch.randn(2, 512, 3, 3)
    convolution = policy.obs_encoder[0]
    with torch.autocast("cpu", torch.bfloat16):
        output = convolution(x)
    assert output.dtype == torch.bfloat16
    assert type(output.grad_fn).__name__ != type(convolution(x).grad_fn).__name__
    with torch.no_grad():
        assert torch.equal(convolution(x), nn.Conv2d.forward(convolution, x))
