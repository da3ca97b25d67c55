"""ShuffleNet V2's unit: half of the channels are left alone, and a shuffle mixes the halves."""

import torch
from torch import nn

INPUT = (2, 12, 13, 10)
FINDS = ("compose-channel-orders", "fold-channel-order-into-next-conv", "fold-batchnorm-into-conv")


class SplitUnit(nn.Module):
    """Split, three convolutions of one half, join, shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The channels of the two halves end up side by side."""
        left, right = x.chunk(2, dim=1)
        y = torch.cat([left, self.branch(right)], dim=1)
        batch, channels, height, width = y.shape
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        return y.reshape(batch, -1, height, width)


def build() -> nn.Module:
    """The module to optimize."""
    return nn.Sequential(nn.Conv2d(12, 16, 1), SplitUnit(16), SplitUnit(16), nn.Conv2d(16, 9, 1))
