"""Network in Network: 1x1 convolutions mix channels at each pixel; the classes are averaged over space."""

from torch import nn

INPUT = (2, 3, 32, 28)
FINDS = ("fuse-activation-into-conv", "move-pointwise-conv-after-average-pool")


def block(channels: int, filters: int, kernel: int) -> nn.Sequential:
    """A convolution, then twice 1x1: a small perceptron at every position."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.Conv2d(filters, filters, 1),
        nn.ReLU(),
        nn.Conv2d(filters, filters, 1),
        nn.ReLU(),
    )


def build() -> nn.Module:
    """Two blocks, pooled between, and a global average in place of fully connected layers."""
    return nn.Sequential(
        block(3, 16, 5),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Dropout(),
        block(16, 10, 3)[:-1],  # scores need no rectifying
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
