"""Focus, the first layer of a detector (YOLOv5): every second pixel, four times, joined and convolved."""

import torch
from torch import nn

INPUT = (2, 3, 32, 26)
FINDS = (
    "fuse-slices-into-space-to-depth",
    "fold-channel-order-into-next-conv",
    "fold-space-to-depth-into-conv",
    "fuse-sigmoid-mul-into-swish",
)


class Focus(nn.Module):
    """A quarter of the pixels, four times as many channels; the same as one convolution with a 6x6 kernel."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        layer = nn.Conv2d(4 * channels, filters, 3, padding=1, bias=False)
        self.conv = nn.Sequential(layer, nn.BatchNorm2d(filters), nn.SiLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Join the pixels of each 2x2 block, column by column."""
        left, right = x[..., ::2], x[..., 1::2]
        pixels = [left[..., ::2, :], left[..., 1::2, :], right[..., ::2, :], right[..., 1::2, :]]
        convolved: torch.Tensor = self.conv(torch.cat(pixels, 1))
        return convolved


def build() -> nn.Module:
    """The module to optimize."""
    return nn.Sequential(Focus(3, 16), nn.Conv2d(16, 10, 3, stride=2, padding=1))
