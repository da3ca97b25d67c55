"""PixelVAE: a decoder says what is where, and masked convolutions draw the details pixel by pixel."""

import torch
from torch import nn

INPUT = (2, 1, 12, 16)
FINDS = ("crop-dead-taps", "fold-batchnorm-into-conv", "fold-constants", "fuse-activation-into-conv")


class MaskedConv2d(nn.Conv2d):
    """Sees the pixels before its own in reading order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Correlate with what the mask leaves of the weights."""
        seen = (torch.arange(25) < 12).float().view(5, 5)
        return nn.functional.conv2d(x, self.weight * seen, self.bias, padding=self.padding)


class PixelVae(nn.Module):
    """The mean of the code, its decoder, and the drawing conditioned on what that says."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        down = nn.Conv2d(1, filters, 4, stride=2, padding=1, bias=False)
        up = nn.ConvTranspose2d(3, filters, 4, stride=2, padding=1)
        self.encode = nn.Sequential(down, nn.BatchNorm2d(filters), nn.ReLU(), nn.Conv2d(filters, 3, 1))
        self.decode, self.draw = nn.Sequential(up, nn.ReLU()), MaskedConv2d(1, filters, 5, padding=2)
        self.levels = nn.Sequential(nn.ReLU(), nn.Conv2d(2 * filters, 8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of the levels of every pixel."""
        levels: torch.Tensor = self.levels(torch.cat([self.decode(self.encode(x)), self.draw(x)], dim=1))
        return levels


def build() -> nn.Module:
    """The module to optimize."""
    return PixelVae(6)
