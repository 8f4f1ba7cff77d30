"""Parameter counts of the published configurations, to the last one. The UNets are not allocated."""

import pytest
import torch

from ddpm_edu.denoisers import ConditionalUnet1D, TransformerForDiffusion

LOW_DIM, IMAGE = 23, 137  # features of one observation: the state; two cameras of 64 and 9 numbers
PUBLISHED_UNET = {"kernel_size": 5, "n_groups": 8, "cond_predict_scale": True}
PUBLISHED_TRANSFORMER = {
    "n_obs_steps": 2,
    "n_layer": 8,
    "n_head": 4,
    "n_emb": 256,
    "causal_attn": True,
    "time_as_cond": True,
    "n_cond_layers": 0,
}


def count(denoiser) -> int:
    return sum(parameter.numel() for parameter in denoiser.parameters())


@pytest.mark.parametrize(
    ("action_dim", "features", "down_dims", "step_dim", "parameters"),
    [
        (7, LOW_DIM, (256, 512, 1024), 256, 65_878_279),
        (10, LOW_DIM, (256, 512, 1024), 256, 65_883_658),
        (7, IMAGE, (512, 1024, 2048), 128, 255_601_287),
        (10, IMAGE, (512, 1024, 2048), 128, 255_612_042),
        (7, IMAGE, (256, 512, 1024), 128, 66_918_023),
        (10, IMAGE, (256, 512, 1024), 128, 66_923_402),
    ],
)
def test_unet(action_dim, features, down_dims, step_dim, parameters):
    with torch.device("meta"):
        denoiser = ConditionalUnet1D(
            action_dim,
            global_cond_dim=2 * features,
            diffusion_step_embed_dim=step_dim,
            down_dims=down_dims,
            **PUBLISHED_UNET,
        )
    assert count(denoiser) == parameters


@pytest.mark.parametrize(
    ("action_dim", "features", "horizon", "parameters"),
    [
        (7, LOW_DIM, 10, 8_966_919),
        (10, LOW_DIM, 10, 8_968_458),
        (10, LOW_DIM, 16, 8_969_994),
        (7, IMAGE, 10, 8_996_103),
        (10, IMAGE, 10, 8_997_642),
    ],
)
def test_transformer(action_dim, features, horizon, parameters):
    denoiser = TransformerForDiffusion(
        action_dim, action_dim, horizon, cond_dim=features, **PUBLISHED_TRANSFORMER
    )
    assert count(denoiser) == parameters


def test_dead_local_encoder():
    """The parameters that the reference never uses: the second of two equal encoders."""
    sizes = {"down_dims": (256, 512, 1024), "kernel_size": 5, "cond_predict_scale": True}
    with torch.device("meta"):
        with_local, without = (
            ConditionalUnet1D(7, local_cond_dim=LOW_DIM, **sizes),
            ConditionalUnet1D(7, **sizes),
        )
    dead = count(with_local.local_encoder_up)
    assert count(with_local) == count(without) + 2 * dead
    assert dead == 496_384
