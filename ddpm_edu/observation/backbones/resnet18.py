"""ResNet18 (He et al. 2016), as in robomimic's and the paper's image policies; its weights start random."""

from __future__ import annotations

from ddpm_edu.observation.backbones.base import BACKBONES, Backbone
from ddpm_edu.third_party import import_robomimic


class ResNet18(Backbone):
    """Eighteen layers, 512 channels, 11 million weights, 3 x 3 cells of a crop of 76 x 76."""

    def network(self) -> type:
        """robomimic's `ResNet18Conv`."""
        return import_robomimic("robomimic.models.base_nets").ResNet18Conv


# pretrained=True would download weights.
BACKBONES.register(ResNet18("resnet18", 32, {"pretrained": False, "input_coord_conv": False}))
