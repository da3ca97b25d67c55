"""PixelCNN++: in place of masks, filters padded above, or above and to the left; ELU of both signs."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 3, 10, 13)
FINDS = ("absorb-pad-into-conv",)


def shifted(channels: int, filters: int, *, right: int) -> nn.Sequential:
    """A convolution that sees this row and the one above, and ``right`` columns to the right of its own."""
    return nn.Sequential(nn.ZeroPad2d((1, right, 1, 0)), nn.Conv2d(channels, filters, (2, 2 + right)))


def concat_elu(x: torch.Tensor) -> torch.Tensor:
    """As many channels again."""
    return functional.elu(torch.cat([x, -x], dim=1))


class PixelCnnPlusPlus(nn.Module):
    """The rows above, and this one so far; then a gated residual layer with a skip from the rows above."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.above, self.beside = shifted(3, filters, right=1), shifted(3, filters, right=0)
        self.inner, self.skip = shifted(2 * filters, filters, right=0), nn.Conv2d(2 * filters, filters, 1)
        self.out = shifted(2 * filters, 2 * filters, right=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of what was drawn before each pixel."""
        above = self.above(functional.pad(x, (0, 0, 1, 0))[:, :, :-1])
        seen = above + self.beside(functional.pad(x, (1, 0))[..., :-1])
        inner = self.inner(concat_elu(seen)) + self.skip(concat_elu(above))
        return seen + functional.glu(self.out(concat_elu(inner)), dim=1)


def build() -> nn.Module:
    """The module to optimize."""
    return PixelCnnPlusPlus(6)
