"""Atrous spatial pyramid pooling: the same maps seen at growing dilations, and their global average."""

import torch
from torch import nn

INPUT = (2, 10, 15, 18)
FINDS = (
    "fold-batchnorm-into-conv",
    "fuse-activation-into-conv",
    "distribute-pointwise-conv-over-concat",
)


def atrous(channels: int, filters: int, dilation: int) -> nn.Sequential:
    """A convolution that keeps the size; 1x1 where the dilation is 0."""
    kernel, spread = (3, dilation) if dilation else (1, 1)
    layer = nn.Conv2d(channels, filters, kernel, padding=dilation, dilation=spread, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(filters), nn.ReLU())


class Aspp(nn.Module):
    """DeepLab's head: several fields of view, joined and projected."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.views = nn.ModuleList(atrous(channels, filters, dilation) for dilation in (0, 2, 4, 6))
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, filters, 1), nn.ReLU())
        self.project = atrous(5 * filters, filters, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Join all views with the average, which is spread over the whole map."""
        everywhere = nn.functional.interpolate(self.pooled(x), size=x.shape[2:], mode="nearest")
        projected: torch.Tensor = self.project(torch.cat([*(view(x) for view in self.views), everywhere], 1))
        return projected


def build() -> nn.Module:
    """The module to optimize."""
    return Aspp(10, 6)
