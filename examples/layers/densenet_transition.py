"""DenseNet: a layer reads all maps before it; between blocks a 1x1 convolution and a mean make them fewer."""

import torch
from torch import nn

INPUT = (2, 3, 30, 22)
FINDS = (
    "fold-batchnorm-into-conv",
    "fuse-activation-into-conv",
    "move-pointwise-conv-after-average-pool",
)


def conv(channels: int, filters: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, normalised."""
    layer = nn.Conv2d(channels, filters, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(filters))


class Dense(nn.Module):
    """Layers that add their maps to those there are."""

    def __init__(self, channels: int, growth: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(channels + n * growth, growth, 3) for n in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All maps, old and new."""
        for layer in self.layers:
            x = torch.cat([x, torch.relu(layer(x))], dim=1)
        return x


def build() -> nn.Module:
    """A block, the transition that halves channels, height and width, and another block."""
    return nn.Sequential(conv(3, 8, 3), Dense(8, 4, 3), conv(20, 10, 1), nn.AvgPool2d(2), Dense(10, 4, 2))
