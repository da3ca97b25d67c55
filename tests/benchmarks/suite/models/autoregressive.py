"""Networks in which a pixel sees only those before it, row by row: their masks are applied in ``forward``."""

import torch
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional

IMAGE = ((1, 1, 32, 32),)


def raster_mask(height: int, width: int, *, centre: bool) -> torch.Tensor:
    """Ones at the taps before the middle one in reading order, and at it if ``centre``; [height, width]."""
    taps = height * width
    return (torch.arange(taps) < taps // 2 + centre).float().view(height, width)


def rows_mask(size: int, *, centre: bool) -> torch.Tensor:
    """Ones at the rows above the middle one, and at it if ``centre``; [size, size]."""
    return (torch.arange(size) < size // 2 + centre).float()[:, None].expand(size, size).contiguous()


class MaskedConv2d(nn.Conv2d):
    """A convolution that keeps the size; taps where the mask is zero do not count."""

    mask: torch.Tensor

    def __init__(self, inputs: int, outputs: int, mask: torch.Tensor) -> None:
        height, width = mask.shape
        super().__init__(inputs, outputs, (height, width), padding=(height // 2, width // 2))
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features at the input's size."""
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class MaskedBlock(nn.Sequential):
    """PixelCNN's residual block: 2h to h by 1x1, 3x3 with mask B, and back by 1x1; a ReLU before each."""

    def __init__(self, width: int) -> None:
        super().__init__(
            *(nn.ReLU(), nn.Conv2d(2 * width, width, 1)),
            *(nn.ReLU(), MaskedConv2d(width, width, raster_mask(3, 3, centre=True))),
            *(nn.ReLU(), nn.Conv2d(width, 2 * width, 1)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the block and what came in."""
        added: torch.Tensor = x + super().forward(x)  # type: ignore[no-untyped-call]
        return added


class PixelCNN(nn.Sequential):
    """Van den Oord et al. 2016, 15 blocks of h = 128 at 32 px, one channel: 3.42 GMAC.

    256 logits for each pixel; 7x7 with mask A first.
    """

    def __init__(self) -> None:
        width = 128
        super().__init__(
            MaskedConv2d(1, 2 * width, raster_mask(7, 7, centre=False)),
            *(MaskedBlock(width) for _ in range(15)),
            *(nn.ReLU(), nn.Conv2d(2 * width, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, 256, 1)),
        )


class Gated(nn.Module):
    """tanh of the first half of the channels times sigmoid of the second."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Half as many channels."""
        value, gate = x.chunk(2, 1)
        return torch.tanh(value) * torch.sigmoid(gate)


class GatedLayer(nn.Module):
    """A vertical stack, which sees the rows above, and a horizontal one, which sees it and its own row."""

    def __init__(self, inputs: int, width: int, *, size: int, first: bool) -> None:
        super().__init__()
        rows, row = rows_mask(size, centre=not first), raster_mask(1, size, centre=not first)
        self.vertical = MaskedConv2d(inputs, 2 * width, rows)
        self.horizontal = MaskedConv2d(inputs, 2 * width, row)
        self.down = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.gate, self.added = Gated(), not first

    def forward(self, above: torch.Tensor, beside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both stacks' features; the horizontal one is residual but in the first layer."""
        vertical = self.vertical(above)
        out = self.out(self.gate(self.horizontal(beside) + self.down(vertical)))
        return self.gate(vertical), out + beside if self.added else out


class GatedPixelCNN(nn.Module):
    """Van den Oord et al. 2016 (conditional image generation), 12 layers of 128 channels at 32 px: 5.50 GMAC.

    One channel, 256 logits for each pixel; the first layer is 7x7, the others 3x3.
    """

    def __init__(self) -> None:
        super().__init__()
        width = 128
        self.first = GatedLayer(1, width, size=7, first=True)
        self.rest = nn.ModuleList(GatedLayer(width, width, size=3, first=False) for _ in range(11))
        self.head = nn.Sequential(
            *(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 256, 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel's 256 values."""
        above, beside = self.first(x, x)
        for layer in self.rest:
            above, beside = layer(above, beside)
        out: torch.Tensor = self.head(beside)
        return out


MODELS = (
    SuiteModel(name="pixelcnn", network=PixelCNN, inputs=IMAGE),
    SuiteModel(name="gated_pixelcnn", network=GatedPixelCNN, inputs=IMAGE),
)
