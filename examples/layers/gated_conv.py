"""Gated convolution: each feature has a gate of its own, as in inpainting, where holes are unknown."""

import torch
from torch import nn

INPUT = (2, 4, 19, 14)
FINDS = ("fuse-activation-into-conv",)


class GatedConv2d(nn.Module):
    """y = φ(conv(x))·σ(conv'(x))."""

    def __init__(self, channels: int, filters: int, *, stride: int = 1) -> None:
        super().__init__()
        self.feature = nn.Conv2d(channels, filters, 3, stride=stride, padding=1)
        self.gate = nn.Conv2d(channels, filters, 3, stride=stride, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features where the gate is open."""
        return nn.functional.elu(self.feature(x)) * torch.sigmoid(self.gate(x))


def build() -> nn.Module:
    """Image and mask in, features out."""
    return nn.Sequential(GatedConv2d(4, 8, stride=2), GatedConv2d(8, 6))
