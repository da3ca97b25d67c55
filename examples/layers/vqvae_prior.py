"""The prior of a VQ-VAE: masked convolutions over the codes of an image, each looked up in a book."""

import torch
from torch import nn

INPUT, CODES = (2, 9, 7), 16  # images, rows, columns; as many entries in the book
FINDS = ("crop-dead-taps",)


class Masked(nn.Conv2d):
    """Sees what comes before a position in reading order."""

    def __init__(self, channels: int, filters: int, *, itself: bool) -> None:
        super().__init__(channels, filters, 3, padding=1)
        self.register_buffer("mask", (torch.arange(9) < 4 + itself).float().view(3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mask is laid on the weights in place, as many implementations do it."""
        self.weight.data *= self.mask
        return super().forward(x)


class Prior(nn.Module):
    """Embedding, a gated masked layer, and a score for every code that could stand at a position."""

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.book, self.scores = nn.Embedding(codes, width), nn.Conv2d(width, codes, 1)
        self.first, self.gated = Masked(width, width, itself=False), Masked(width, 2 * width, itself=True)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """(N, rows, columns) of whole numbers to (N, codes, rows, columns)."""
        x = self.first(self.book(codes).permute(0, 3, 1, 2))
        scores: torch.Tensor = self.scores(x + nn.functional.glu(self.gated(x), dim=1))
        return scores


def build() -> nn.Module:
    """The module to optimize."""
    return Prior(CODES, 6)
