"""VGG: 3x3 filters all the way, two or three in a row, which see as far as one larger filter does."""

from torch import nn

INPUT = (2, 3, 32, 24)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv")


def stage(channels: int, filters: int, depth: int) -> list[nn.Module]:
    """Convolutions that keep the size, then a pool that halves it."""
    layers: list[nn.Module] = []
    for number in range(depth):
        inside = filters if number else channels
        layers += [nn.Conv2d(inside, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
    return [*layers, nn.MaxPool2d(2)]


def build() -> nn.Module:
    """Three stages, then fully connected layers."""
    return nn.Sequential(
        *stage(3, 6, 2),
        *stage(6, 10, 2),
        *stage(10, 14, 3),
        nn.Flatten(),
        nn.Linear(14 * 4 * 3, 40),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(40, 10),
    )
