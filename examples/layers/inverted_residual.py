"""MobileNetV2's block: expand by 1x1, filter each channel, project back, add the input."""

import torch
from torch import nn

INPUT = (2, 8, 16, 13)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


class InvertedResidual(nn.Module):
    """Wide inside, narrow between blocks; the projection is not rectified."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.block = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The input and what the block adds to it."""
        added: torch.Tensor = self.block(x)
        return x + added


def build() -> nn.Module:
    """The module to optimize."""
    return InvertedResidual(8, 3)
