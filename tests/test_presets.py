"""The presets have the published sizes; facts from the released configurations of Diffusion Policy."""

from __future__ import annotations

import pytest
import torch

from ddpm_edu.conditioning import make_conditioning
from ddpm_edu.factory import build_denoiser
from ddpm_edu.presets import preset

PUBLISHED = {
    ("unet", "low_dim", "delta"): 65_878_279,
    ("unet", "low_dim", "absolute"): 65_883_658,
    ("transformer", "low_dim", "delta"): 8_966_919,
    ("transformer", "low_dim", "absolute"): 8_968_458,
    ("unet", "image", "delta"): 255_601_287,
    ("unet", "image", "absolute"): 255_612_042,
    ("transformer", "image", "delta"): 8_996_103,
    ("transformer", "image", "absolute"): 8_997_642,
}
OBS_FEATURES = {"low_dim": 23, "image": 137}


@pytest.mark.parametrize(("denoiser", "observation", "action"), PUBLISHED)
@pytest.mark.parametrize("task", ["can", "square"])
def test_the_paper_preset_has_the_published_number_of_parameters(task, denoiser, observation, action):
    config = preset(task, denoiser, "global", observation, "paper", action=action).policy
    with torch.device("meta"):  # shapes without memory: the largest has a quarter of a billion
        spec = make_conditioning(config, OBS_FEATURES[observation]).denoiser_spec()
        network = build_denoiser(config.denoiser, spec)
    count = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert count == PUBLISHED[denoiser, observation, action]
