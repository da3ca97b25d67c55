"""An answer for every pixel: encoders and decoders, and the heads of segmentation networks."""

from collections.abc import Callable
from itertools import pairwise

import torch
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional

UNET_WIDTHS = (64, 128, 256, 512, 1024)
UNET_3D_WIDTHS = (32, 64, 128, 256)
# Channels of the maps that a SegFormer-B1 encoder makes of an image, at 1/4, 1/8, 1/16 and 1/32 of its size.
SEGFORMER_WIDTHS = (64, 128, 320, 512)
# The same of a ResNet-50.
RESNET_WIDTHS = (256, 512, 1024, 2048)


class ConvBlock(nn.Sequential):
    """Twice a 3×3 convolution, a BatchNorm and a ReLU: one level of a U-Net, in two dimensions or three."""

    def __init__(self, channels: int, width: int, *, spatial: int = 2) -> None:
        conv = nn.Conv2d if spatial == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if spatial == 2 else nn.BatchNorm3d
        super().__init__(
            conv(channels, width, 3, padding=1, bias=False),
            norm(width),
            nn.ReLU(),
            conv(width, width, 3, padding=1, bias=False),
            norm(width),
            nn.ReLU(),
        )


class TransposedUp(nn.Module):
    """What is deeper, brought to twice the size by a transposed convolution, beside what was left above."""

    def __init__(self, deep: int, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deep, width, 2, stride=2)
        self.block = ConvBlock(2 * width, width)

    def forward(self, deep: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """One level up: the deep map of half the size, and the skip connection's."""
        joined: torch.Tensor = self.block(torch.cat([skip, self.up(deep)], dim=1))
        return joined


class NearestUp(nn.Module):
    """What is deeper, each pixel doubled, beside what was left above; all channels go into the block."""

    def __init__(self, deep: int, width: int, *, spatial: int = 2) -> None:
        super().__init__()
        self.block = ConvBlock(deep + width, width, spatial=spatial)

    def forward(self, deep: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """One level up: the deep map of half the size, and the skip connection's."""
        up = functional.interpolate(deep, scale_factor=2.0, mode="nearest")
        joined: torch.Tensor = self.block(torch.cat([up, skip], dim=1))
        return joined


class UNet(nn.Module):
    """Ronneberger et al. 2015 with padded convolutions and BatchNorm: levels down by pools, and up again.

    ``up`` makes the level that joins a deeper map with the skip connection of ``width`` channels.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        up: Callable[[int, int], nn.Module],
        *,
        channels: int = 3,
        classes: int = 2,
        spatial: int = 2,
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            ConvBlock(before, width, spatial=spatial)
            for before, width in zip((channels, *widths), widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2) if spatial == 2 else nn.MaxPool3d(2)
        levels = widths[::-1]
        self.up = nn.ModuleList(up(deep, width) for deep, width in pairwise(levels))
        head = nn.Conv2d if spatial == 2 else nn.Conv3d
        self.head = head(widths[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of each class, at the input's size."""
        skips = [self.down[0](x)]
        for block in list(self.down)[1:]:
            skips.append(block(self.pool(skips[-1])))
        x = skips.pop()
        for join in self.up:
            x = join(x, skips.pop())
        logits: torch.Tensor = self.head(x)
        return logits


def unet_convt() -> nn.Module:
    """Back up by 2×2 transposed convolutions. 31.0 M parameters."""
    return UNet(UNET_WIDTHS, TransposedUp)


def unet_nearest() -> nn.Module:
    """Back up by doubled pixels, as segmentation_models.pytorch has it."""
    return UNet(UNET_WIDTHS, NearestUp)


def unet_3d() -> nn.Module:
    """A volume's: Çiçek et al. 2016, back up by doubled voxels as pytorch-3dunet has it."""

    def up(deep: int, width: int) -> nn.Module:
        return NearestUp(deep, width, spatial=3)

    return UNet(UNET_3D_WIDTHS, up, channels=1, spatial=3)


class SegmentationHead(nn.Module):
    """SegFormer's decoder (Xie et al. 2021): each scale's channels mixed, all brought to one size, fused.

    The linear layers work on sequences of pixels, as they do in the published one.
    """

    def __init__(self, widths: tuple[int, ...], *, width: int = 256, classes: int = 150) -> None:
        super().__init__()
        self.mix = nn.ModuleList(nn.Linear(channels, width) for channels in widths)
        self.fuse = nn.Conv2d(width * len(widths), width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, *scales: torch.Tensor) -> torch.Tensor:
        """Logits of each class at the first scale's size; the maps come finest first."""
        size = scales[0].shape[2:]
        mixed = []
        for mix, scale in zip(self.mix, scales, strict=True):
            pixels = mix(scale.flatten(2).transpose(1, 2))
            image = pixels.transpose(1, 2).reshape(scale.shape[0], -1, *scale.shape[2:])
            mixed.append(functional.interpolate(image, size=size, mode="bilinear", align_corners=False))
        fused = functional.relu(self.norm(self.fuse(torch.cat(mixed[::-1], dim=1))))
        logits: torch.Tensor = self.classify(fused)
        return logits


class Enlarging(nn.Sequential):
    """3×3 convolution, GroupNorm, ReLU, then twice the size: one step of a feature pyramid's decoder."""

    def __init__(self, channels: int, width: int, *, larger: bool) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.GroupNorm(32, width),
            nn.ReLU(),
            nn.UpsamplingBilinear2d(scale_factor=2) if larger else nn.Identity(),
        )


class PyramidHead(nn.Module):
    """A feature pyramid for segmentation (Kirillov et al. 2019): coarse maps added to finer ones."""

    def __init__(self, widths: tuple[int, ...], *, pyramid: int = 256, width: int = 128) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, pyramid, 1) for channels in widths)
        self.levels = nn.ModuleList(self._steps(pyramid, width, level) for level in range(len(widths)))
        self.classify = nn.Sequential(nn.Conv2d(width, 21, 1), nn.UpsamplingBilinear2d(scale_factor=4))

    @staticmethod
    def _steps(pyramid: int, width: int, level: int) -> nn.Module:
        sizes = [pyramid, *[width] * max(1, level)]
        steps = pairwise(sizes)
        return nn.Sequential(*(Enlarging(before, after, larger=level > 0) for before, after in steps))

    def forward(self, *scales: torch.Tensor) -> torch.Tensor:
        """Logits of each class at four times the first scale's size; the maps come finest first."""
        laterals = [lateral(scale) for lateral, scale in zip(self.lateral, scales, strict=True)]
        pyramid = [laterals.pop()]
        for lateral in reversed(laterals):
            pyramid.insert(0, lateral + functional.interpolate(pyramid[0], scale_factor=2.0, mode="nearest"))
        finest, *others = [level(scale) for level, scale in zip(self.levels, pyramid, strict=True)]
        logits: torch.Tensor = self.classify(sum(others, finest))
        return logits


def segmentation_head() -> nn.Module:
    """SegFormer-B1's, for the 150 classes of ADE20K."""
    return SegmentationHead(SEGFORMER_WIDTHS)


def pyramid_head() -> nn.Module:
    """On a ResNet-50's maps, for 21 classes, as segmentation_models.pytorch has it."""
    return PyramidHead(RESNET_WIDTHS)


def maps(widths: tuple[int, ...], size: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of maps with so many channels, each half the size of the one before."""
    return tuple((1, width, size >> level, size >> level) for level, width in enumerate(widths))


MODELS: tuple[SuiteModel, ...] = (
    SuiteModel(name="unet_convt", network=unet_convt, inputs=((1, 3, 256, 256),)),
    SuiteModel(name="unet_nearest", network=unet_nearest, inputs=((1, 3, 256, 256),)),
    SuiteModel(name="unet_3d", network=unet_3d, inputs=((1, 1, 64, 64, 64),)),
    SuiteModel(name="segmentation_head", network=segmentation_head, inputs=maps(SEGFORMER_WIDTHS, 128)),
    SuiteModel(name="pyramid_head", network=pyramid_head, inputs=maps(RESNET_WIDTHS, 64)),
)
