"""True convolution in one, two and three dimensions: filters are flipped along every axis, then slide."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 3, 6, 9, 8)  # volumes, channels, depth, height, width
FINDS = ("fold-constants",)

CORRELATE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class TrueConv(nn.Module):
    """y[i] = Σ w[k]·x[i − k]; what other layers call convolution is Σ w[k]·x[i + k]."""

    def __init__(self, channels: int, filters: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(filters, channels, *size) / 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Flip, then correlate, with all that the filter touches."""
        size = self.weight.shape[2:]
        flipped = self.weight.flip(*range(2, self.weight.dim()))
        return CORRELATE[len(size)](x, flipped, padding=tuple(length - 1 for length in size))


class Flat(nn.Module):
    """The mean over the first axis after the channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One dimension less."""
        return x.mean(dim=2)


def build() -> nn.Module:
    """From volumes to images to lines."""
    three, two, one = TrueConv(3, 5, (2, 3, 2)), TrueConv(5, 4, (3, 2)), TrueConv(4, 6, (3,))
    return nn.Sequential(three, Flat(), two, Flat(), one)
