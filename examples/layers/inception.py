"""An inception module: 1x1, 3x3 and 5x5 filters and a pool side by side, each behind a 1x1 that reduces."""

import torch
from torch import nn

INPUT = (2, 24, 14, 18)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


def conv(channels: int, filters: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, normalised and rectified."""
    layer = nn.Conv2d(channels, filters, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(filters), nn.ReLU())


class Inception(nn.Module):
    """Four branches that read the same maps, joined along the channels."""

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.one = conv(24, 8, 1)
        self.three = nn.Sequential(conv(24, 6, 1), conv(6, 12, 3))
        self.five = nn.Sequential(conv(24, 3, 1), conv(3, 5, 5))
        self.pooled = nn.Sequential(pool, conv(24, 7, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Join what the branches see."""
        return torch.cat([branch(x) for branch in (self.one, self.three, self.five, self.pooled)], dim=1)


def build() -> nn.Module:
    """The module to optimize."""
    return Inception()
