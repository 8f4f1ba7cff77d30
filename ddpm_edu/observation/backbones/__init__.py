"""Backbones of the image encoder: the convolutions that turn a picture into the feature maps it is judged by.

A new backbone is one file here: a `Backbone` that is registered, and the robomimic class that it builds.
"""

from ddpm_edu.observation.backbones.base import BACKBONES, Backbone

__all__ = ["BACKBONES", "Backbone"]
