"""AlexNet's convolutions, a quarter as wide: two groups, one for each of the cards it was trained on."""

from torch import nn

INPUT = (1, 3, 227, 227)  # (227 - 11)/4 + 1 = 55
FINDS = ("fuse-activation-into-conv",)


def build() -> nn.Module:
    """Five layers, three of which see only half of the channels each."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 11, stride=4),
        nn.ReLU(),
        nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(24, 64, 5, padding=2, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 96, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(96, 96, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(96, 64, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(64 * 6 * 6, 20),
    )
