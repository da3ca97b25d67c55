"""What may lie beyond the border: nothing, zeros, a constant, a mirror, the last row, the other side."""

from torch import nn

INPUT = (2, 3, 17, 22)
OPSET = 20  # a Pad wraps from 19 on
FINDS = (
    "absorb-pad-into-conv",
    "fold-batchnorm-into-conv",
    "fuse-activation-into-conv",
    "fuse-slices-into-wrap-pad",
    "compose-pads",
)


def build() -> nn.Module:
    """A convolution after each kind of padding; the circular one is right for panoramas."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="valid"),
        nn.Conv2d(4, 5, 3, padding="same"),
        nn.ZeroPad2d((1, 0, 2, 1)),
        nn.Conv2d(5, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConstantPad2d(1, 0.5),
        nn.Conv2d(6, 5, 3),
        nn.Conv2d(5, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 5, 3, padding=1, padding_mode="replicate"),
        nn.Conv2d(5, 3, 3, padding=(1, 2), padding_mode="circular"),
    )
