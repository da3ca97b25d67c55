"""NICE: additive couplings, which keep volumes, and a diagonal scale at the end."""

import torch
from torch import nn

INPUT = (2, 6, 8, 5)
FINDS = ("fold-constants", "fuse-activation-into-conv")


class AdditiveCoupling(nn.Module):
    """y₁ = x₁ and y₂ = x₂ + m(x₁), the halves then in the other order."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, last = nn.Conv2d(channels, 12, 3, padding=1), nn.Conv2d(12, channels, 3, padding=1)
        self.net = nn.Sequential(first, nn.BatchNorm2d(12), nn.ReLU(), last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shift one half by what the other one says."""
        kept, changed = x.chunk(2, dim=1)
        return torch.cat([changed + self.net(kept), kept], dim=1)


class Scale(nn.Module):
    """y = exp(s)·x, one s a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_s = nn.Parameter(torch.randn(channels, 1, 1) / 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What lets the model weigh its dimensions."""
        return x * self.log_s.exp()


def build() -> nn.Module:
    """Three couplings and the scale."""
    return nn.Sequential(*(AdditiveCoupling(3) for _ in range(3)), Scale(6))
