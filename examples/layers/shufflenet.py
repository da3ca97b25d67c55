"""ShuffleNet's unit: grouped 1x1 convolutions, and a shuffle so that the groups hear of each other."""

import torch
from torch import nn

INPUT = (2, 12, 14, 11)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1, and the input added."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        first = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        last = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.first = nn.Sequential(first, nn.BatchNorm2d(channels), nn.ReLU())
        self.rest = nn.Sequential(depthwise, nn.BatchNorm2d(channels), last, nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Deal the channels out to the groups between the two grouped layers."""
        y = self.first(x)
        batch, channels, height, width = y.shape
        y = y.view(batch, self.groups, channels // self.groups, height, width).transpose(1, 2)
        return torch.relu(x + self.rest(y.reshape(batch, channels, height, width)))


def build() -> nn.Module:
    """The module to optimize."""
    return ShuffleUnit(12, 3)
