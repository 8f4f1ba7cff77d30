"""The networks that predict the noise: a UNet and a transformer over the time axis of a trajectory."""

from ddpm_edu.denoisers.base import DENOISERS, DenoiserConfig, DenoiserPreset, DenoiserSpec
from ddpm_edu.denoisers.transformer import TransformerConfig, TransformerForDiffusion
from ddpm_edu.denoisers.unet import ConditionalUnet1D, UnetConfig

__all__ = [
    "DENOISERS",
    "ConditionalUnet1D",
    "DenoiserConfig",
    "DenoiserPreset",
    "DenoiserSpec",
    "TransformerConfig",
    "TransformerForDiffusion",
    "UnetConfig",
]
