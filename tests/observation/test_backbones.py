"""The choice of a backbone, and the small one."""

from __future__ import annotations

import pytest
import torch

from ddpm_edu.config import VisionConfig
from ddpm_edu.errors import ConfigError
from ddpm_edu.factory import make_policy
from ddpm_edu.observation import make_obs_encoder
from ddpm_edu.observation.backbones import BACKBONES
from ddpm_edu.settings import from_dict
from ddpm_edu.tasks import CAN
from ddpm_edu.third_party import import_robomimic


def readings(frames=2):
    generator = torch.Generator().manual_seed(0)
    return {key.name: torch.rand(frames, *key.shape, generator=generator) * 2 - 1 for key in CAN.image}


def test_files_from_before_there_was_a_choice_mean_resnet18_and_free_features():
    old = {"crop": [76, 76], "group_norm": True, "reference_crops": False}
    assert from_dict(VisionConfig, old) == VisionConfig(backbone="resnet18", tells="features")


@pytest.mark.parametrize(("crop", "cells"), [((76, 76), 10), (None, 11), ((75, 61), (10, 8))])
def test_the_small_backbone_has_cells_of_eight_pixels(crop, cells):
    encoder = make_obs_encoder("can", "image", backbone="small", crop=crop)
    view = encoder.attention(readings())["agentview_image"]
    assert view.features.shape == (2, 64, *((cells, cells) if isinstance(cells, int) else cells))
    assert sum(parameter.numel() for parameter in encoder.parameters()) < 250_000


def test_a_keypoint_lands_on_the_pixel_that_its_cell_is_about():
    encoder = make_obs_encoder("can", "image", backbone="small", crop=None).eval()
    pixels = encoder.keypoint_pixels(readings())["agentview_image"]
    keypoints = encoder.keypoints(readings())["agentview_image"]
    assert torch.allclose(pixels, (keypoints + 1) / 2 * 10 * 8)


def test_robomimic_builds_the_small_backbone_and_forgets_it():
    namespace = vars(import_robomimic("robomimic.models.obs_core"))
    resnet = namespace["ResNet18Conv"]
    encoder = make_obs_encoder("can", "image", backbone="small")
    core = type(encoder.obs_nets["agentview_image"])
    assert core.__module__ == "robomimic.models.obs_core"
    assert "SmallConv" not in namespace
    make_obs_encoder("can", "image")
    assert namespace["ResNet18Conv"] is resnet


def test_a_policy_is_built_with_either_and_the_names_are_said():
    small = make_policy("can", observation="image", backbone="small")
    assert small.obs_encoder.backbone is BACKBONES["small"]
    assert make_policy("can", observation="image").obs_encoder.backbone is BACKBONES["resnet18"]
    with pytest.raises(ConfigError, match=r"backbone is 'vit'; the backbones are 'resnet18', 'small'"):
        make_policy("can", observation="image", backbone="vit")
