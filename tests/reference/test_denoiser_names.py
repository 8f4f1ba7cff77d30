"""Weights that do not fit are refused, and the message names the key."""

import pytest
import torch

from ddpm_edu.denoisers import ConditionalUnet1D, TransformerForDiffusion
from ddpm_edu.errors import CheckpointError
from ddpm_edu.reference.denoiser_names import (
    transformer_state_from_reference,
    transformer_state_to_reference,
    unet_state_from_reference,
    unet_state_to_reference,
)

UNET = {"input_dim": 3, "down_dims": (8, 16), "local_cond_dim": 2, "diffusion_step_embed_dim": 8}
TRANSFORMER = {"input_dim": 3, "output_dim": 3, "horizon": 4, "n_layer": 1, "n_head": 2, "n_emb": 8}


@pytest.fixture(params=["unet", "transformer"])
def parts(request):
    if request.param == "unet":
        return ConditionalUnet1D(**UNET), unet_state_to_reference, unet_state_from_reference
    denoiser = TransformerForDiffusion(**TRANSFORMER, causal_attn=True, cond_dim=2)
    return denoiser, transformer_state_to_reference, transformer_state_from_reference


def test_there_and_back(parts):
    denoiser, to_reference, from_reference = parts
    state = denoiser.state_dict()
    back = from_reference(to_reference(state), denoiser)
    assert back.keys() == state.keys()
    for key, value in back.items():
        assert value.dtype == state[key].dtype
        assert torch.equal(value, state[key])


@pytest.mark.parametrize(
    "key", ["decoder.layers.0.norm9.weight", "up_modules.0.3.weight", "head", "a.b.c", ""]
)
def test_unknown_key(parts, key):
    denoiser, to_reference, from_reference = parts
    with pytest.raises(CheckpointError, match="unknown key") as error:
        from_reference({**to_reference(denoiser.state_dict()), key: torch.zeros(1)})
    assert repr(key) in str(error.value)
    with pytest.raises(CheckpointError, match="unknown key"):
        to_reference({**denoiser.state_dict(), key: torch.zeros(1)})


def test_missing_key(parts):
    denoiser, to_reference, from_reference = parts
    state = to_reference(denoiser.state_dict())
    del state["final_conv.1.bias" if "final_conv.1.bias" in state else "head.bias"]
    with pytest.raises(CheckpointError, match=r"lacks '(final_projection|head)\.bias'"):
        from_reference(state, denoiser)


def test_other_shapes():
    state = unet_state_to_reference(ConditionalUnet1D(**UNET).state_dict())
    wider = ConditionalUnet1D(**{**UNET, "down_dims": (8, 24)})
    with pytest.raises(CheckpointError, match=r"has shape \(\d+.*\) in the checkpoint and \(\d+"):
        unet_state_from_reference(state, wider)
    deeper = unet_state_to_reference(ConditionalUnet1D(**{**UNET, "down_dims": (8, 16, 16)}).state_dict())
    with pytest.raises(CheckpointError, match="fewer levels"):
        unet_state_from_reference(deeper, ConditionalUnet1D(**UNET))


def test_a_causal_checkpoint_needs_a_causal_transformer():
    causal = TransformerForDiffusion(**TRANSFORMER, causal_attn=True)
    state = transformer_state_to_reference(causal.state_dict())
    assert state["mask"].dtype == torch.float32
    assert state["mask"][0].tolist() == [0, float("-inf"), float("-inf"), float("-inf")]
    with pytest.raises(CheckpointError, match="causal_mask"):
        transformer_state_from_reference(state, TransformerForDiffusion(**TRANSFORMER, causal_attn=False))


def test_packed_projection_of_a_wrong_length():
    state = transformer_state_to_reference(TransformerForDiffusion(**TRANSFORMER).state_dict())
    key = "decoder.layers.0.self_attn.in_proj_weight"
    state[key] = state[key][:-1]
    with pytest.raises(CheckpointError, match=key):
        transformer_state_from_reference(state)
