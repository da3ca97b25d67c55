"""Flattened convolution: a filter as three vectors: across the channels, down the rows, along the columns."""

from torch import nn

INPUT = (2, 10, 17, 12)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


def flattened(channels: int, filters: int) -> nn.Sequential:
    """A number for each channel, then for each filter a column and a row of three."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, 1, bias=False),
        nn.Conv2d(filters, filters, (3, 1), padding=(1, 0), groups=filters, bias=False),
        nn.Conv2d(filters, filters, (1, 3), padding=(0, 1), groups=filters, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    )


def build() -> nn.Module:
    """Two layers, pooled between."""
    return nn.Sequential(flattened(10, 14), nn.MaxPool2d(2), flattened(14, 9))
