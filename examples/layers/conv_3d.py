"""A 3-D convolution over frames, split into space and time: (1, 3, 3), then (3, 1, 1)."""

from torch import nn

INPUT = (1, 3, 9, 12, 14)  # videos, channels, frames, height, width
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


def build() -> nn.Module:
    """A full 3-D layer, then one in two parts."""
    return nn.Sequential(
        nn.Conv3d(3, 6, 3, stride=(1, 2, 2), padding=1, bias=False),
        nn.BatchNorm3d(6),
        nn.ReLU(),
        nn.Conv3d(6, 8, (1, 3, 3), padding=(0, 1, 1)),
        nn.Conv3d(8, 5, (3, 1, 1)),
        nn.BatchNorm3d(5),
        nn.LeakyReLU(0.1),
        nn.AdaptiveAvgPool3d(1),
    )
