"""A small backbone for machines without a GPU: five convolutions, 0.1 million weights."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ddpm_edu.observation.backbones.base import BACKBONES, Backbone
from ddpm_edu.third_party import import_robomimic

CHANNELS, STRIDES = (32, 32, 64, 64, 64), (2, 2, 2, 1, 1)


class Small(Backbone):
    """Five convolutions with GroupNorm: 11 x 11 cells of an image of 84 x 84, each seeing 61 pixels.

    It is told where it looks (two channels of coordinates, Liu et al. 2018, "CoordConv"): a table and a bin
    look alike everywhere, and the cameras stand still.
    """

    def network(self) -> type:
        """Its class; made on demand, because its base class is robomimic's."""
        return _network()


@functools.cache
def _network() -> type:
    import torch
    from torch import Tensor, nn

    class SmallConv(import_robomimic("robomimic.models.base_nets").ConvBase):
        """Images (N, 3, H, W) to feature maps (N, 64, ceil(H / 8), ceil(W / 8))."""

        def __init__(
            self,
            input_channel: int = 3,
            channels: Sequence[int] = CHANNELS,
            strides: Sequence[int] = STRIDES,
            coordinates: bool = True,
        ) -> None:
            super().__init__()
            self.channels, self.strides, self.coordinates = channels, strides, coordinates
            layers: list[nn.Module] = []
            into = input_channel + 2 * coordinates
            for number, (out, stride) in enumerate(zip(channels, strides, strict=True)):
                kernel = 3 if number else 5
                convolution = nn.Conv2d(into, out, kernel, stride, padding=kernel // 2, bias=False)
                layers += [convolution, nn.GroupNorm(out // 16, out), nn.ReLU(inplace=True)]
                into = out
            self.nets = nn.Sequential(*layers)

        def output_shape(self, input_shape: list[int]) -> list[int]:
            """Shape of the feature maps of an image."""
            height, width = input_shape[-2:]
            for stride in self.strides:
                height, width = -(-height // stride), -(-width // stride)
            return [self.channels[-1], height, width]

        def forward(self, inputs: Tensor) -> Tensor:
            """The feature maps."""
            if not self.coordinates:
                return self.nets(inputs)
            N, _, H, W = inputs.shape
            rows = torch.linspace(-1, 1, H, device=inputs.device, dtype=inputs.dtype)
            columns = torch.linspace(-1, 1, W, device=inputs.device, dtype=inputs.dtype)
            y, x = rows[:, None].expand(N, 1, H, W), columns.expand(N, 1, H, W)
            return self.nets(torch.cat([inputs, y, x], dim=1))

    return SmallConv


BACKBONES.register(Small("small", 8))
