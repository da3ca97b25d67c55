"""ACNet: a square kernel whose middle row and column are strengthened by kernels of their own."""

import torch
from torch import nn

INPUT = (2, 5, 13, 10)
FINDS = ("fold-batchnorm-into-conv", "merge-parallel-branches", "fuse-activation-into-conv")


class AsymmetricBlock(nn.Module):
    """The sum of a 3x3, a 1x3 and a 3x1 convolution, each with its normalisation: a cross in a square."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        kernels = ((3, 3), (1, 3), (3, 1))
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, filters, (high, wide), padding=(high // 2, wide // 2), bias=False),
                nn.BatchNorm2d(filters),
            )
            for high, wide in kernels
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the three, then rectify."""
        square, row, column = (branch(x) for branch in self.branches)
        return torch.relu(square + row + column)


def build() -> nn.Module:
    """Two blocks on top of each other."""
    return nn.Sequential(AsymmetricBlock(5, 7), AsymmetricBlock(7, 6))
