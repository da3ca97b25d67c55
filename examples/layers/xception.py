"""Xception's block: rectified, separable, normalised, twice; then pooled; a strided 1x1 as shortcut."""

import torch
from torch import nn

INPUT = (2, 8, 19, 14)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


def separable(channels: int, filters: int) -> list[nn.Module]:
    """The activation stands before the layer here, and none between its two halves."""
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, filters, 1, bias=False),
        nn.BatchNorm2d(filters),
    ]


class Xception(nn.Module):
    """Half of the size, more maps."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.block = nn.Sequential(*separable(channels, filters), *separable(filters, filters), pool)
        project = nn.Conv2d(channels, filters, 1, stride=2, bias=False)
        self.shortcut = nn.Sequential(project, nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the block finds, and the input."""
        added: torch.Tensor = self.block(x) + self.shortcut(x)
        return added


def build() -> nn.Module:
    """The module to optimize."""
    return Xception(8, 12)
