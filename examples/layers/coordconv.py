"""CoordConv: two more channels tell each position where it is, so that a filter can depend on the place."""

import torch
from torch import nn

INPUT = (2, 3, 12, 17)
FINDS = ("fold-coordinate-channels",)


class CoordConv2d(nn.Module):
    """Convolution over x and its coordinates, which run from −1 to 1."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 2, filters, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Append rows and columns as channels, then convolve."""
        batch, _, height, width = x.shape
        rows = torch.linspace(-1, 1, height).view(1, 1, height, 1).expand(batch, 1, height, width)
        columns = torch.linspace(-1, 1, width).view(1, 1, 1, width).expand(batch, 1, height, width)
        features: torch.Tensor = self.conv(torch.cat([x, rows, columns], dim=1))
        return features


def build() -> nn.Module:
    """Two layers, rectified between."""
    return nn.Sequential(CoordConv2d(3, 16), nn.ReLU(), CoordConv2d(16, 5))
