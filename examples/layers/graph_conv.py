"""Graph convolution: each vertex mixes the mean of its neighbours' features, here on the grid of an image."""

import torch
from torch import nn

INPUT = (2, 36, 12)  # signals, vertices, channels
FINDS = ("associate-matmuls",)


def means(rows: int, columns: int) -> torch.Tensor:
    """What takes values at the vertices of a grid to their means over neighbours: (V, V)."""
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    near = (torch.cdist(places, places) < 1.5).float()
    return near / near.sum(1, keepdim=True)


class GraphConv(nn.Module):
    """The mean over neighbours first, then the weights, as it is usually written."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.register_buffer("means", means(4, 9))
        self.mix = nn.Linear(channels, filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, vertices, channels) to (N, vertices, filters)."""
        features: torch.Tensor = self.mix(self.means @ x)
        return features


def build() -> nn.Module:
    """Two layers, rectified between."""
    return nn.Sequential(GraphConv(12, 8), nn.ReLU(), GraphConv(8, 3))
