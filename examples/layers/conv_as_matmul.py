"""Convolution as matrix multiplication: every window becomes a column (im2col), every filter a row."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 3, 14, 11)
FINDS = ("fuse-gathered-windows-into-conv", "absorb-pad-into-conv", "fuse-activation-into-conv")


class ConvAsMatmul(nn.Module):
    """What nn.Conv2d computes, spelled out."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(filters, 9 * channels) / 5)
        self.bias = nn.Parameter(torch.randn(filters, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to columns (N, 9·C, H·W), multiplied, and back to an image."""
        columns = functional.unfold(x, 3, padding=1)
        return (self.weight @ columns + self.bias).view(-1, self.weight.shape[0], *x.shape[2:])


def build() -> nn.Module:
    """Two layers, rectified between."""
    return nn.Sequential(ConvAsMatmul(3, 8), nn.ReLU(), ConvAsMatmul(8, 4))
