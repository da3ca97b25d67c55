"""DCGAN's generator: noise becomes an image through transposed convolutions of size 4 and stride 2."""

from torch import nn

INPUT = (2, 20, 1, 1)
FINDS = (
    "fold-batchnorm-into-conv",
    "fuse-activation-into-conv",
    "lower-conv-transpose-of-pixel-to-conv",
)


def up(channels: int, filters: int, *, stride: int, padding: int) -> list[nn.Module]:
    """Twice the size (four times from the noise), normalised and rectified."""
    layer = nn.ConvTranspose2d(channels, filters, 4, stride=stride, padding=padding, bias=False)
    return [layer, nn.BatchNorm2d(filters), nn.ReLU()]


def build() -> nn.Module:
    """1x1 to 4x4, 8x8, 16x16."""
    return nn.Sequential(
        *up(20, 16, stride=1, padding=0),
        *up(16, 8, stride=2, padding=1),
        nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1, bias=False),
        nn.Tanh(),
    )
