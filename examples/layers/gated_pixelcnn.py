"""Gated PixelCNN: a vertical stack sees all rows above, a horizontal one this row; no pixel is overlooked."""

import torch
from torch import nn

INPUT = (2, 6, 9, 12)
FINDS = ("absorb-pad-into-conv", "commute-slice-with-conv")


def gated(x: torch.Tensor) -> torch.Tensor:
    """Half of the channels, gated by the other half: tanh(a)·sigmoid(b)."""
    value, gate = x.chunk(2, dim=1)
    return torch.tanh(value) * torch.sigmoid(gate)


class GatedLayer(nn.Module):
    """One layer of both stacks; the horizontal one has a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Padding above and to the left only: nothing below or to the right is ever seen.
        self.vertical = nn.Sequential(nn.ZeroPad2d((1, 1, 2, 0)), nn.Conv2d(channels, 2 * channels, (2, 3)))
        self.horizontal = nn.Sequential(nn.ZeroPad2d((1, 0, 0, 0)), nn.Conv2d(channels, 2 * channels, (1, 2)))
        self.down, self.out = nn.Conv2d(2 * channels, 2 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What both stacks make of the same maps; the vertical one is read a row further up."""
        vertical = self.vertical(x)[:, :, :-1]
        horizontal = gated(self.horizontal(x) + self.down(vertical))
        return torch.cat([gated(vertical), x + self.out(horizontal)], dim=1)


def build() -> nn.Module:
    """The module to optimize."""
    return GatedLayer(6)
