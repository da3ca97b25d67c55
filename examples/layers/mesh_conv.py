"""UGSCNN: on a mesh a filter is a mix of differential operators: identity, two slopes and the Laplacian."""

import torch
from torch import nn

INPUT = (2, 5, 36)  # signals, channels, vertices
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


def operators(rows: int, columns: int) -> torch.Tensor:
    """What takes values at the vertices of a torus to slopes and Laplacian there: (3, V, V)."""
    vertices = torch.eye(rows * columns).view(-1, rows, columns)
    right, left, down, up = (vertices.roll(step, axis) for axis in (2, 1) for step in (1, -1))
    slopes = ((right - left) / 2, (down - up) / 2)
    return torch.stack([*slopes, right + left + down + up - 4 * vertices]).flatten(2)


class MeshConv(nn.Module):
    """The operators are fixed by the mesh; which mix of them a filter is, is learnt."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.register_buffer("operators", operators(4, 9))
        self.mix = nn.Conv1d(4 * channels, filters, 1, bias=False)
        self.norm = nn.BatchNorm1d(filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, vertices) to (N, filters, vertices)."""
        felt = [x, *(x @ operator for operator in self.operators)]
        features: torch.Tensor = self.norm(self.mix(torch.cat(felt, dim=1)))
        return features


def build() -> nn.Module:
    """Two layers, rectified between."""
    return nn.Sequential(MeshConv(5, 8), nn.ReLU(), MeshConv(8, 6))
