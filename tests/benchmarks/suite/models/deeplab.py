"""DeepLabv3: a classifier's layers spread out, and what they see at several distances brought together."""

import torch
from benchmarks.suite.models.classifiers import ResNet
from benchmarks.suite.models.layers import conv_norm
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional

RATES = (6, 12, 18)
_LAST_STAGE = 3  # blocks


def spread_out(blocks: nn.Sequential) -> nn.Sequential:
    """A stage without its stride: where it would have halved the map, its later taps lie twice as far."""
    for index, block in enumerate(blocks):
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d):
                layer.stride = (1, 1)
            if index and isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                layer.dilation = layer.padding = (2, 2)
    return blocks


def atrous(channels: int, width: int, rate: int) -> nn.Sequential:
    """A 3×3 convolution whose taps lie ``rate`` apart, BatchNorm, and a ReLU."""
    conv = nn.Conv2d(channels, width, 3, padding=rate, dilation=rate, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())


class Pyramid(nn.Module):
    """Five views of a map, mixed: each pixel itself, three distances, and the whole image's mean."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.near = conv_norm(channels, width, 1, activation=nn.ReLU())
        self.far = nn.ModuleList(atrous(channels, width, rate) for rate in RATES)
        self.mean = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *conv_norm(channels, width, 1, activation=nn.ReLU())
        )
        self.mix = conv_norm((2 + len(RATES)) * width, width, 1, activation=nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of the same size."""
        views = [self.near(x), *(far(x) for far in self.far)]
        mean = functional.interpolate(self.mean(x), size=x.shape[2:], mode="bilinear", align_corners=False)
        mixed: torch.Tensor = self.mix(torch.cat([*views, mean], dim=1))
        return mixed


class DeepLabV3(nn.Module):
    """Chen et al. 2017 on a ResNet-50 whose map is a sixteenth of the image. 39.6 M parameters."""

    def __init__(self, *, width: int = 256, classes: int = 21) -> None:
        super().__init__()
        stages = list(ResNet(bottlenecks=True))[:-3]  # without the pool, the flattening and the classifier
        last = spread_out(nn.Sequential(*stages[-_LAST_STAGE:]))
        self.features = nn.Sequential(*stages[:-_LAST_STAGE], last)
        self.head = nn.Sequential(
            Pyramid(2048, width),
            conv_norm(width, width, 3, activation=nn.ReLU()),
            nn.Conv2d(width, classes, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of each class, at the input's size."""
        logits = self.head(self.features(x))
        return functional.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)


MODELS: tuple[SuiteModel, ...] = (
    SuiteModel(name="deeplabv3", network=DeepLabV3, inputs=((1, 3, 512, 512),)),
)
