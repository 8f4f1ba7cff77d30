"""What a backbone is to the image encoder: a class that robomimic builds, and the size of its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ddpm_edu.registry import Registry


@dataclass(frozen=True)
class Backbone:
    """A visual backbone.

    Attributes:
        name: in settings and checkpoints.
        stride: pixels between the centres of neighbouring cells of its last feature map; the first cell's
            centre lies on the first pixel.
        arguments: what its class is built with, beside `input_channel`.
    """

    name: str
    stride: int
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def network(self) -> type:
        """Its class, a `ConvBase` of robomimic's; imported only when a network is built."""
        raise NotImplementedError


BACKBONES: Registry[Backbone] = Registry("backbone", "backbones", "ddpm_edu.observation.backbones")
"""All backbones, by name."""
