"""A decoder without checkerboards: resize by nearest neighbour first, then convolve."""

from torch import nn

INPUT = (2, 12, 4, 5)
FINDS = ("fold-batchnorm-into-conv", "fold-nearest-resize-into-conv", "fuse-activation-into-conv")


def build() -> nn.Module:
    """From the latent code up to four times its size; means and log-variances of every pixel."""
    return nn.Sequential(
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ELU(),
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(16, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.Conv2d(8, 6, 3, padding=1),
    )
