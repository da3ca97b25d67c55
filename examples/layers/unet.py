"""U-Net, two levels deep: down by pooling, up by learned and plain enlarging, joined by skip connections."""

import torch
from torch import nn

INPUT = (1, 3, 24, 36)
FINDS = ("fold-batchnorm-into-conv", "fold-nearest-resize-through-concat-into-conv")


def double(channels: int, filters: int) -> nn.Sequential:
    """Two convolutions that keep the size."""
    layers = [(channels, filters), (filters, filters)]
    convs = [[nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()] for i, o in layers]
    return nn.Sequential(*(layer for conv in convs for layer in conv))


class UNet(nn.Module):
    """What is seen at full size meets what is seen at half and quarter size."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = double(3, 6), double(6, 12), double(12, 24)
        self.up2, self.up1 = nn.ConvTranspose2d(24, 12, 2, stride=2), nn.Upsample(scale_factor=2)
        self.join2, self.join1 = double(24, 12), double(18, 6)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score every pixel for two classes."""
        full = self.down1(x)
        half = self.down2(nn.functional.max_pool2d(full, 2))
        quarter = self.bottom(nn.functional.max_pool2d(half, 2))
        half = self.join2(torch.cat([half, self.up2(quarter)], dim=1))
        scores: torch.Tensor = self.head(self.join1(torch.cat([full, self.up1(half)], dim=1)))
        return scores


def build() -> nn.Module:
    """The module to optimize."""
    return UNet()
