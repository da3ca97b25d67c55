"""ResNeXt's block as one that trains its masks has it: dense filters, of which 32 paths are not zero."""

import torch
from torch import nn

INPUT = (1, 48, 15, 14)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv", "split-conv-into-groups")


class HiddenGroups(nn.Module):
    """1x1, a dense 3x3 whose weight is zero between paths, 1x1, and the input added."""

    def __init__(self, channels: int, *, paths: int, width: int) -> None:
        super().__init__()
        inside = paths * width
        dense = nn.Conv2d(inside, inside, 3, padding=1, bias=False)
        path = torch.randperm(inside) % paths  # which path a channel belongs to, in no order
        with torch.no_grad():
            dense.weight *= (path[:, None] == path)[:, :, None, None]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inside, 1, bias=False),
            nn.BatchNorm2d(inside),
            nn.ReLU(),
            dense,
            nn.BatchNorm2d(inside),
            nn.ReLU(),
            nn.Conv2d(inside, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Aggregate what the paths make of x, and x."""
        return torch.relu(x + self.layers(x))


def build() -> nn.Module:
    """The module to optimize."""
    return HiddenGroups(48, paths=32, width=4)
