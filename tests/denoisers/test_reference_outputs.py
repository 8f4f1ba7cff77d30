"""Our networks against outputs of the reference implementation, recorded once.

Recorded with the published `model/diffusion` of github.com/real-stanford/diffusion_policy and torch 2.13:

    PYTHONPATH=/path/to/diffusion_policy python tests/denoisers/test_reference_outputs.py

`reference_outputs.safetensors` holds, for each case below, the reference's output in float32 and the names
and shapes of its parameters. Weights and inputs are not stored: both sides compute them from those.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ddpm_edu.denoisers import ConditionalUnet1D, TransformerForDiffusion
from ddpm_edu.reference.denoiser_names import (
    transformer_state_from_reference,
    transformer_state_to_reference,
    unet_state_from_reference,
    unet_state_to_reference,
)

RECORDED = Path(__file__).with_name("reference_outputs.safetensors")
BATCH = 2
TIMESTEPS = {"int": 3, "scalar": torch.tensor(0), "each": torch.tensor([7, 99])}

UNET_CASES = {
    "unet_plain": {"input_dim": 7, "down_dims": [16, 32], "diffusion_step_embed_dim": 16},
    "unet_one_level": {
        "input_dim": 3,
        "down_dims": [16],
        "diffusion_step_embed_dim": 8,
        "global_cond_dim": 5,
    },
    "unet_global_bias": {"input_dim": 7, "down_dims": [16, 32, 24], "global_cond_dim": 9, "kernel_size": 5},
    "unet_global_film": {
        "input_dim": 10,
        "down_dims": [24, 16, 32],
        "global_cond_dim": 9,
        "kernel_size": 5,
        "cond_predict_scale": True,
    },
    "unet_local_film": {
        "input_dim": 7,
        "down_dims": [16, 32],
        "local_cond_dim": 6,
        "kernel_size": 5,
        "cond_predict_scale": True,
    },
    "unet_local_and_global": {
        "input_dim": 7,
        "down_dims": [8, 16, 16, 32],
        "local_cond_dim": 6,
        "global_cond_dim": 4,
        "diffusion_step_embed_dim": 32,
        "n_groups": 4,
    },
    "unet_kernel_one": {"input_dim": 30, "down_dims": [16, 32], "kernel_size": 1, "n_groups": 16},
}
# What the reference's classes take when nothing is said.
REFERENCE_UNET = {"kernel_size": 3, "cond_predict_scale": False}
UNET_CASES = {name: {**REFERENCE_UNET, **case} for name, case in UNET_CASES.items()}
SMALL = {"n_layer": 2, "n_head": 4, "n_emb": 32, "p_drop_emb": 0.0, "p_drop_attn": 0.0, "causal_attn": False}
TRANSFORMER_CASES = {
    "transformer_published_shape": {"causal_attn": True, "cond_dim": 9, "n_obs_steps": 2},
    "transformer_unmasked": {"cond_dim": 9, "n_obs_steps": 3},
    "transformer_cond_layers": {"causal_attn": True, "cond_dim": 9, "n_obs_steps": 2, "n_cond_layers": 2},
    "transformer_many_observations": {"causal_attn": True, "cond_dim": 9, "n_obs_steps": 8},
    "transformer_as_many_observations_as_steps": {"causal_attn": True, "cond_dim": 9, "horizon": 3},
    "transformer_time_only": {"causal_attn": True},
    "transformer_time_only_cond_layers": {"n_cond_layers": 1},
    "transformer_encoder_only": {"time_as_cond": False},
    "transformer_encoder_only_causal": {"time_as_cond": False, "causal_attn": True},
    "transformer_one_step": {"causal_attn": True, "cond_dim": 9, "n_obs_steps": 1, "horizon": 1},
}
TRANSFORMER_CASES = {
    name: {"input_dim": 7, "output_dim": 7, "horizon": 6, **SMALL, **case}
    for name, case in TRANSFORMER_CASES.items()
}


def numbers(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers in [-1, 1) that look random and depend on name and shape only: a hash of each index."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) * np.uint64(2654435761)
    x = (x + np.uint64(zlib.crc32(name.encode()))) % np.uint64(2**32)
    for multiplier, shift in ((2246822519, 15), (3266489917, 13), (668265263, 16)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(multiplier) % np.uint64(2**32)
    return torch.from_numpy(x.astype(np.float64) / 2**31 - 1).float().reshape(shape)


def fill(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights from the reference's names and shapes: norms and biases too are far from their defaults."""
    filled = {}
    for name, value in state.items():
        shape = tuple(value.shape)
        if name.endswith("mask") or value.numel() == 0:
            filled[name] = value
        elif len(shape) > 1:
            filled[name] = numbers(name, shape) * (3 / (value.numel() / shape[0])) ** 0.5
        else:
            filled[name] = 0.3 * numbers(name, shape) + (1.0 if name.endswith("weight") else 0.0)
    return filled


def unet_inputs(case: dict) -> dict[str, torch.Tensor]:
    T = 2 * 2 ** (len(case["down_dims"]) - 1)
    inputs = {"sample": numbers("sample", (BATCH, T, case["input_dim"]))}
    if "local_cond_dim" in case:
        inputs["local_cond"] = numbers("local_cond", (BATCH, T, case["local_cond_dim"]))
    if "global_cond_dim" in case:
        inputs["global_cond"] = numbers("global_cond", (BATCH, case["global_cond_dim"]))
    return inputs


def transformer_inputs(case: dict) -> dict[str, torch.Tensor]:
    inputs = {"sample": numbers("sample", (BATCH, case["horizon"], case["input_dim"]))}
    if "cond_dim" in case:
        To = case.get("n_obs_steps", case["horizon"])
        inputs["cond"] = numbers("cond", (BATCH, To, case["cond_dim"]))
    return inputs


def recorded_case(name: str) -> tuple[dict[str, list[int]], dict[str, torch.Tensor]]:
    """Names and shapes of the reference's parameters, and its output for each kind of timestep."""
    with safe_open(RECORDED, "pt") as file:
        shapes = json.loads(file.metadata()[name])
        return shapes, {kind: file.get_tensor(f"{name}.{kind}") for kind in TIMESTEPS}


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@torch.no_grad()
def check(name, denoiser, to_reference, from_reference, inputs):
    shapes, outputs = recorded_case(name)
    state = to_reference(denoiser.state_dict())
    assert {key: list(value.shape) for key, value in state.items()} == shapes
    filled = fill(state)
    renamed = from_reference(filled, denoiser)
    denoiser.load_state_dict(renamed)
    for key, value in to_reference(denoiser.state_dict()).items():  # there and back, bit for bit
        assert torch.equal(value, filled[key])
    denoiser.eval()
    for kind, timestep in TIMESTEPS.items():
        assert relative_error(denoiser(timestep=timestep, **inputs), outputs[kind]) < 1e-5


@pytest.mark.parametrize("name", UNET_CASES)
def test_unet(name):
    case = UNET_CASES[name]
    denoiser = ConditionalUnet1D(**case, reference_compatible=True)
    check(name, denoiser, unet_state_to_reference, unet_state_from_reference, unet_inputs(case))


@pytest.mark.parametrize("name", TRANSFORMER_CASES)
def test_transformer(name):
    case = TRANSFORMER_CASES[name]
    denoiser = TransformerForDiffusion(**case)
    inputs = transformer_inputs(case)
    check(name, denoiser, transformer_state_to_reference, transformer_state_from_reference, inputs)


@torch.no_grad()
def test_the_local_encoder_that_is_dead_in_the_reference():
    """With the same weights, what we add on the way up is exactly what the reference leaves out."""
    name = "unet_local_film"
    case = UNET_CASES[name]
    inputs = unet_inputs(case)
    dead, alive = (ConditionalUnet1D(**case, reference_compatible=c) for c in (True, False))
    state = unet_state_from_reference(fill(unet_state_to_reference(dead.state_dict())))
    dead.load_state_dict(state)
    alive.load_state_dict(state)
    assert relative_error(alive(timestep=3, **inputs), recorded_case(name)[1]["int"]) > 1e-2
    for parameter in alive.local_encoder_up.block_out.norm.parameters():
        parameter.zero_()  # its second block is silent now,
    for parameter in alive.local_encoder_up.residual.parameters():
        parameter.zero_()  # and so is the way around it
    assert relative_error(alive(timestep=3, **inputs), recorded_case(name)[1]["int"]) < 1e-5


@torch.no_grad()
def record() -> None:
    """Writes the file, with the reference implementation on the path."""
    from diffusion_policy.model.diffusion.conditional_unet1d import ConditionalUnet1D as ReferenceUnet
    from diffusion_policy.model.diffusion.transformer_for_diffusion import (
        TransformerForDiffusion as ReferenceTransformer,
    )

    tensors, metadata = {}, {}
    for cases, reference, make_inputs in (
        (UNET_CASES, ReferenceUnet, unet_inputs),
        (TRANSFORMER_CASES, ReferenceTransformer, transformer_inputs),
    ):
        for name, case in cases.items():
            denoiser = reference(**case).eval()
            denoiser.load_state_dict(fill(denoiser.state_dict()))
            shapes = {key: list(value.shape) for key, value in denoiser.state_dict().items()}
            metadata[name] = json.dumps(shapes, separators=(",", ":"))
            for kind, timestep in TIMESTEPS.items():
                output = denoiser(timestep=timestep, **make_inputs(case))
                tensors[f"{name}.{kind}"] = output.contiguous()
    save_file(tensors, RECORDED, metadata)


if __name__ == "__main__":
    record()
