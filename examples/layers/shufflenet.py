"""ShuffleNet's first units: grouped 1x1 convolutions, and shuffles so that the groups hear of each other."""

import torch
from torch import nn

INPUT = (2, 12, 14, 11)
FINDS = ("fold-channel-order-into-conv", "fold-batchnorm-into-conv", "fuse-activation-into-conv")


class ShuffleUnit(nn.Module):
    """Pointwise, shuffle, depthwise 3x3, grouped pointwise, and the input added.

    Where the first layer is not grouped, its filters can make the channels shuffled from the start.
    """

    def __init__(self, channels: int, groups: int, *, first_groups: int) -> None:
        super().__init__()
        self.groups = groups
        first = nn.Conv2d(channels, channels, 1, groups=first_groups, bias=False)
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        last = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.first = nn.Sequential(first, nn.BatchNorm2d(channels), nn.ReLU())
        self.rest = nn.Sequential(depthwise, nn.BatchNorm2d(channels), last, nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Deal the channels out to the groups between the two pointwise layers."""
        y = self.first(x)
        batch, channels, height, width = y.shape
        y = y.view(batch, self.groups, channels // self.groups, height, width).transpose(1, 2)
        return torch.relu(x + self.rest(y.reshape(batch, channels, height, width)))


def build() -> nn.Module:
    """The module to optimize."""
    return nn.Sequential(ShuffleUnit(12, 3, first_groups=1), ShuffleUnit(12, 3, first_groups=3))
