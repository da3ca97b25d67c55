"""ZFNet: AlexNet with smaller, denser filters at the front, found by looking at what they had learnt."""

from torch import nn

INPUT = (2, 3, 58, 46)
FINDS = ("fuse-activation-into-conv",)


def build() -> nn.Module:
    """Five convolutions; the pools overlap, neighbouring channels compete after the first two."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 7, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.LocalResponseNorm(5),
        nn.Conv2d(12, 16, 5, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.LocalResponseNorm(5),
        nn.Conv2d(16, 20, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(20, 20, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(20, 14, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=1),
        nn.Flatten(),
        nn.Linear(14 * 2, 10),
    )
