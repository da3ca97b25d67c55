"""SphConv: a panorama is stretched towards the poles, so each band of its rows has filters of its own."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 3, 16, 26)
OPSET = 20  # a Pad wraps from 19 on
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv", "fuse-slices-into-wrap-pad")


class SphConv2d(nn.Module):
    """A convolution for each band of rows, wider where the circles of latitude are shorter."""

    def __init__(self, channels: int, filters: int, *, rows: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.height = rows // len(widths)
        self.bands = nn.ModuleList(
            nn.Conv2d(channels, filters, (3, width), padding=(0, width // 2), padding_mode="circular")
            for width in widths
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve each band with a row more on either side; beyond the poles there is nothing."""
        x = functional.pad(x, (0, 0, 1, 1))
        starts = range(0, len(self.bands) * self.height, self.height)
        bands = zip(self.bands, starts, strict=True)
        return torch.cat([conv(x[:, :, start : start + self.height + 2]) for conv, start in bands], dim=2)


def build() -> nn.Module:
    """Two layers of four bands, normalised and rectified between."""
    widths = (7, 3, 3, 7)
    first, last = (SphConv2d(i, o, rows=16, widths=widths) for i, o in ((3, 8), (8, 5)))
    head = nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(first, nn.ReLU(), head, last)
