"""A segmentation head: maps of several scales, mixed, enlarged to the finest one, joined, and classified."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 3, 32, 48)
FINDS = ("distribute-pointwise-conv-over-concat", "move-pointwise-conv-before-resize", "compose-convs")


class Head(nn.Module):
    """A small pyramid and the head on it; the scores come at the size of the image."""

    def __init__(self, widths: tuple[int, ...], mixed: int, classes: int) -> None:
        super().__init__()
        before = (3, *widths)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before[n], width, 3, stride=2, padding=1), nn.ReLU())
            for n, width in enumerate(widths)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, mixed, 1) for width in widths)
        self.fuse = nn.Sequential(nn.Conv2d(len(widths) * mixed, mixed, 1), nn.ReLU())
        self.classify = nn.Conv2d(mixed, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of each pixel."""
        maps, y = [], x
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            y = stage(y)
            maps.append(lateral(y))
        wide = [functional.interpolate(m, size=maps[0].shape[2:], mode="bilinear") for m in maps[1:]]
        fused = self.fuse(torch.cat([maps[0], *wide], 1))
        scores: torch.Tensor = self.classify(functional.interpolate(fused, scale_factor=2, mode="bilinear"))
        return scores


def build() -> nn.Module:
    """The module to optimize."""
    return Head((6, 8, 10), 8, 5)
