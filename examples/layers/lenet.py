"""LeNet-5: convolution, squashing, subsampling, twice; then fully connected layers."""

from torch import nn

INPUT = (3, 1, 32, 32)
FINDS = ("fuse-activation-into-conv",)


def build() -> nn.Module:
    """Ten scores for each handwritten digit."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )
