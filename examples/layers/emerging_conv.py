"""Emerging convolution: two autoregressive d×d convolutions with opposite masks; each is invertible."""

import torch
from torch import nn

INPUT = (2, 4, 9, 6)
FINDS = ("fold-constants", "crop-dead-taps")


class AutoregressiveConv(nn.Conv2d):
    """A pixel sees itself and those before it in reading order; ``flipped``: those after it."""

    def __init__(self, channels: int, size: int, *, flipped: bool) -> None:
        super().__init__(channels, channels, size, padding=size // 2)
        here = size // 2
        mask = torch.zeros(channels, channels, size, size)
        mask[:, :, :here] = 1
        mask[:, :, here, :here] = 1
        mask[:, :, here, here] = torch.ones(channels, channels).tril()
        self.register_buffer("mask", mask.flip(0, 1, 2, 3) if flipped else mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve with what the mask leaves: its determinant is that of the middle tap's diagonal."""
        return nn.functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


def build() -> nn.Module:
    """One after the other: the receptive field is square, the inverse two sequential solves."""
    first, second = (AutoregressiveConv(4, 5, flipped=flipped) for flipped in (False, True))
    return nn.Sequential(first, second)
