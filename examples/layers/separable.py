"""Separable convolutions: depthwise then pointwise (MobileNet, Xception), and a column then a row."""

from torch import nn

INPUT = (2, 6, 18, 21)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


def depthwise_separable(channels: int, filters: int, *, stride: int = 1) -> nn.Sequential:
    """A filter for each channel, then 1x1 across the channels."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
        nn.Conv2d(channels, filters, 1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU6(),
    )


def build() -> nn.Module:
    """Two depthwise separable layers, then a spatially separable one: 3x1, then 1x3."""
    return nn.Sequential(
        depthwise_separable(6, 12, stride=2),
        depthwise_separable(12, 16),
        nn.Conv2d(16, 8, (3, 1), padding=(1, 0)),
        nn.Conv2d(8, 8, (1, 3), padding=(0, 1)),
    )
