"""Causal convolutions (WaveNet, TCN): a step sees itself and steps before it, none after it."""

import torch
from torch import nn

INPUT = (2, 3, 23)
FINDS = ("absorb-slice-into-conv", "absorb-pad-into-conv", "fold-batchnorm-into-conv")


class Chomped(nn.Conv1d):
    """A TCN's layer: padded at both ends; what then looks ahead is cut off."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As many steps as x has."""
        return super().forward(x)[:, :, : -self.padding[0]]


class Gated(nn.Module):
    """A WaveNet's layer: padded at the begin alone, one filter gated by another, a residual connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.pad = nn.ConstantPad1d((dilation, 0), 0.0)
        self.value, self.gate = (nn.Conv1d(channels, channels, 2, dilation=dilation) for _ in range(2))
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What was there, and what this layer adds."""
        before = self.pad(x)
        return x + self.out(torch.tanh(self.value(before)) * torch.sigmoid(self.gate(before)))


def build() -> nn.Module:
    """Dilations that double: each layer sees twice as far back."""
    first = (Chomped(3, 8, 3, padding=2), nn.BatchNorm1d(8), nn.ReLU())
    second = (Chomped(8, 8, 3, padding=4, dilation=2), nn.ReLU())
    return nn.Sequential(*first, *second, *(Gated(8, dilation) for dilation in (1, 2, 4)))
