"""PixelCNN: masked filters see only the pixels above and to the left, which were drawn before."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 1, 13, 11)
FINDS = ("crop-dead-taps", "fold-constants", "fuse-activation-into-conv")


class MaskedConv2d(nn.Conv2d):
    """Mask A hides the pixel itself (first layer), mask B shows it (the layers after)."""

    def __init__(self, mask: str, channels: int, filters: int, kernel: int) -> None:
        super().__init__(channels, filters, kernel, padding=kernel // 2)
        seen = torch.ones(kernel, kernel)
        seen[kernel // 2, kernel // 2 + (mask == "B") :] = 0
        seen[kernel // 2 + 1 :] = 0
        self.register_buffer("mask", seen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Correlate with what the mask leaves of the weights."""
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


def build() -> nn.Module:
    """A layer with mask A, two with mask B, and the levels of every pixel."""
    return nn.Sequential(
        MaskedConv2d("A", 1, 12, 7),
        nn.ReLU(),
        MaskedConv2d("B", 12, 12, 3),
        nn.ReLU(),
        MaskedConv2d("B", 12, 12, 3),
        nn.ReLU(),
        nn.Conv2d(12, 16, 1),
    )
