"""SpherePHD: the sphere as the faces of an icosahedron; a filter sees a face and those around it."""

from itertools import combinations, product

import torch
from torch import nn

INPUT = (2, 20, 6)  # spheres, faces, channels
FINDS = ("fold-constants",)


def neighbours() -> torch.Tensor:
    """Each of the 20 faces and the three it shares an edge with: (20, 4)."""
    golden = (1 + 5**0.5) / 2
    ends = [(0, a, b * golden) for a, b in product((-1, 1), repeat=2)]
    corners = torch.tensor([end[shift:] + end[:shift] for shift in range(3) for end in ends])
    near = (torch.cdist(corners, corners) - 2).abs() < 0.1  # edges have length 2
    faces = [set(f) for f in combinations(range(12), 3) if all(near[i, j] for i, j in combinations(f, 2))]
    return torch.tensor(
        [[i] + [j for j, g in enumerate(faces) if len(f & g) == 2] for i, f in enumerate(faces)]
    )


class FaceConv(nn.Module):
    """One filter for all faces: their neighbourhoods are gathered, then multiplied by its weights."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.register_buffer("neighbours", neighbours())
        self.weights = nn.Linear(4 * channels, filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, faces, channels) to (N, faces, filters)."""
        features: torch.Tensor = self.weights(x[:, self.neighbours].flatten(2))
        return features


def build() -> nn.Module:
    """Two layers, rectified between."""
    return nn.Sequential(FaceConv(6, 9), nn.ReLU(), FaceConv(9, 5))
