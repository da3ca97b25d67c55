"""A highway layer: a gate T, computed from the data, mixes the transformed input with the input itself."""

import torch
from torch import nn

INPUT = (2, 7, 13, 16)
FINDS = ("fuse-activation-into-conv",)


class Highway(nn.Module):
    """y = H(x)·T(x) + x·(1 − T(x))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.constant_(self.gate.bias, -1)  # carry at first, learn to transform

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix by the gate."""
        gate = torch.sigmoid(self.gate(x))
        return torch.relu(self.transform(x)) * gate + x * (1 - gate)


def build() -> nn.Module:
    """Two layers on top of each other."""
    return nn.Sequential(Highway(7), Highway(7))
