"""RepVGG: trained with three branches that are added, run as the one convolution that they amount to."""

import torch
from torch import nn

INPUT = (2, 6, 14, 11)
FINDS = ("fold-batchnorm-into-conv", "merge-parallel-branches", "fuse-activation-into-conv")


def branch(channels: int, filters: int, kernel: int, stride: int) -> nn.Sequential:
    """A convolution and its normalisation."""
    conv = nn.Conv2d(channels, filters, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(filters))


class RepVGGBlock(nn.Module):
    """y = relu(3x3(x) + 1x1(x) + norm(x)); the last branch only where the shape stays."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branch(channels, filters, kernel, stride) for kernel in (3, 1))
        if channels == filters and stride == 1:
            self.branches.append(nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add, then rectify."""
        first, *others = (branch(x) for branch in self.branches)
        return torch.relu(sum(others, start=first))


def build() -> nn.Module:
    """A block that halves the size and one that keeps it."""
    return nn.Sequential(RepVGGBlock(6, 8, 2), RepVGGBlock(8, 8, 1))
