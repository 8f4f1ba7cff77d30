"""The networks that predict the noise: a UNet and a transformer over the time axis of a trajectory."""

from ddpm_edu.denoisers.transformer import TransformerForDiffusion
from ddpm_edu.denoisers.unet import ConditionalUnet1D

__all__ = ["ConditionalUnet1D", "TransformerForDiffusion"]
