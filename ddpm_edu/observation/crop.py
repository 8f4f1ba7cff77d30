"""Cropping images: at random in training, in the centre in evaluation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RandomCrop(nn.Module):
    """Cuts a window out of each image: a random one in training mode, the centre one in evaluation mode.

    Small shifts make the network look for the object, not for its pixel coordinates; without them an image
    policy memorises the few hundred demonstrations. As in robomimic and the reference, every frame and every
    camera gets its own shift, also the frames of one window: in training a motion of a few pixels between
    two frames drowns in the difference of their shifts.

    robomimic draws the shift from 0 ... H-h-1, so the last row and column of the image are never seen and
    the mean shift lies half a pixel off the centre crop. Here all H-h+1 shifts are drawn alike, from the
    same random numbers; `reference_compatible` gives robomimic's shifts exactly.

    Args:
        height: height of the window in pixels.
        width: width of the window in pixels.
        reference_compatible: never draw the last shift, as robomimic 0.3 and the reference do.
    """

    def __init__(self, height: int, width: int, reference_compatible: bool = False) -> None:
        super().__init__()
        self.height, self.width = height, width
        self.reference_compatible = reference_compatible

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (N, C, H, W) to crops (N, C, height, width)."""
        if self.training:
            return self._random(images, generator)
        top, left = self.centre_offsets(images)
        return images[..., top : top + self.height, left : left + self.width]  # (N, C, height, width)

    def centre_offsets(self, images: Tensor) -> tuple[int, int]:
        """Top row and left column of the centre crop; halves round to even as in torchvision."""
        return round((images.shape[-2] - self.height) / 2), round((images.shape[-1] - self.width) / 2)

    def _random(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        def offsets(free: int) -> Tensor:
            # Drawn on the generator's device, by default the CPU: there a seed means the same everywhere.
            device = "cpu" if generator is None else generator.device
            uniform = torch.rand(len(images), generator=generator, device=device)  # (N,)
            choices = free if self.reference_compatible else free + 1
            return (choices * uniform).long().to(images.device)

        top = offsets(images.shape[-2] - self.height)  # (N,)
        left = offsets(images.shape[-1] - self.width)  # (N,)
        # A view of every window; indexing copies only the chosen ones, several times faster than a gather.
        windows = images.unfold(2, self.height, 1).unfold(
            3, self.width, 1
        )  # (N, C, rows, columns, height, width)
        frame = torch.arange(len(images), device=images.device)
        return windows[frame, :, top, left]  # (N, C, height, width)

    def extra_repr(self) -> str:
        return f"{self.height}, {self.width}, reference_compatible={self.reference_compatible}"
