"""Stride, padding, dilation and groups; and a true convolution, whose filter is flipped before it slides."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 3, 33, 26)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


class TrueConv2d(nn.Conv2d):
    """Convolution as mathematics defines it; what other layers call convolution is cross-correlation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Flip the filter along both axes, then correlate."""
        return functional.conv2d(x, self.weight.flip(2, 3), self.bias, padding=self.padding)


def build() -> nn.Module:
    """One layer of each kind, normalised and rectified."""
    layers = (
        nn.Conv2d(3, 8, (5, 3), stride=(2, 1), bias=False),
        nn.Conv2d(8, 12, 3, padding=(1, 2)),
        nn.Conv2d(12, 12, 3, dilation=2, bias=False),
        nn.Conv2d(12, 18, 3, groups=3),
        TrueConv2d(18, 4, 3, padding=1),
    )
    return nn.Sequential(
        *(nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.LeakyReLU(0.1)) for layer in layers)
    )
