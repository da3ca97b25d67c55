"""A residual block: what the two convolutions add to the input, which passes by on a shortcut."""

import torch
from torch import nn

INPUT = (2, 8, 15, 20)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


class ResidualBlock(nn.Module):
    """y = relu(F(x) + shortcut(x)); the shortcut is a strided 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
        )
        same = channels == filters and stride == 1
        project = nn.Conv2d(channels, filters, 1, stride=stride, bias=False)
        self.shortcut = nn.Identity() if same else nn.Sequential(project, nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add, then rectify."""
        return torch.relu(self.residual(x) + self.shortcut(x))


def build() -> nn.Module:
    """A block that halves the size and one that keeps it."""
    return nn.Sequential(ResidualBlock(8, 12, 2), ResidualBlock(12, 12, 1))
