"""Periodic convolution: circular padding makes it a product at every frequency, and so invertible."""

import torch
from torch import nn

INPUT = (2, 4, 8, 7)
FINDS = ("fold-constants", "fold-scale-into-conv", "fold-shift-into-conv")


class PeriodicConv(nn.Module):
    """y = s·(W ⊛ x) + t, ⊛ the convolution on a torus; W is the identity and a little more."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        weight = torch.randn(channels, channels, size, size) / (2 * size)
        self.pads = (size // 2,) * 4
        self.weight = nn.Parameter(weight)
        self.register_buffer("identity", nn.init.dirac_(torch.empty_like(weight)))
        self.log_s = nn.Parameter(torch.randn(1, channels, 1, 1) / 2)
        self.shift = nn.Parameter(torch.randn(1, channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Wrap around, convolve, normalise."""
        wrapped = nn.functional.pad(x, self.pads, mode="circular")
        y = nn.functional.conv2d(wrapped, self.weight + self.identity)
        return y * self.log_s.exp() + self.shift


def build() -> nn.Module:
    """Two of them, the second with a larger kernel."""
    return nn.Sequential(PeriodicConv(4, 3), PeriodicConv(4, 5))
