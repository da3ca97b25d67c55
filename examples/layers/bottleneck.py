"""A 1x1 convolution makes 64 maps into 4, so that 16 filters of 3x3 take a tenth of the work."""

from torch import nn

INPUT = (1, 64, 28, 28)  # direct: 7,225,344 multiplications; through 4 maps: 652,288
FINDS = ("fuse-activation-into-conv",)


def build() -> nn.Module:
    """Reduce, rectify, convolve."""
    return nn.Sequential(nn.Conv2d(64, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 3, padding=1), nn.ReLU())
