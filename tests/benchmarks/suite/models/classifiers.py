"""The classifiers of images that servers run, as torchvision has them: 224 px, 1000 classes."""

import torch
from benchmarks.suite.models.layers import conv_norm
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional

IMAGE = ((1, 3, 224, 224),)


class VGG16(nn.Sequential):
    """Configuration D of Simonyan & Zisserman, without BatchNorm: 15.47 GMAC, 138,357,544 parameters."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten()]
        layers += [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout()]
        layers += [nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()]
        super().__init__(*layers, nn.Linear(4096, 1000))


class Residual(nn.Module):
    """A body and a way past it, added, then a ReLU."""

    def __init__(self, body: nn.Module, *, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = body
        changed = stride != 1 or inputs != outputs
        self.shortcut = conv_norm(inputs, outputs, 1, stride=stride) if changed else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the block, at the size that its stride leaves."""
        return functional.relu(self.body(x) + self.shortcut(x))


def basic(inputs: int, width: int, stride: int) -> Residual:
    """Two 3x3 convolutions, the first with the stride."""
    first = conv_norm(inputs, width, 3, stride=stride, activation=nn.ReLU())
    body = nn.Sequential(first, conv_norm(width, width, 3))
    return Residual(body, inputs=inputs, outputs=width, stride=stride)


def bottleneck(inputs: int, width: int, stride: int) -> Residual:
    """1x1, 3x3 with the stride, 1x1 to four times the width."""
    body = nn.Sequential(
        conv_norm(inputs, width, 1, activation=nn.ReLU()),
        conv_norm(width, width, 3, stride=stride, activation=nn.ReLU()),
        conv_norm(width, 4 * width, 1),
    )
    return Residual(body, inputs=inputs, outputs=4 * width, stride=stride)


class ResNet(nn.Sequential):
    """He et al., with 3, 4, 6 and 3 blocks.

    34 layers: 3.66 GMAC, 21,797,672 parameters. 50 layers, the stride at the 3x3 convolution as torchvision
    has it: 4.09 GMAC, 25,557,032 parameters.
    """

    def __init__(self, *, bottlenecks: bool) -> None:
        block, expansion = (bottleneck, 4) if bottlenecks else (basic, 1)
        layers = [conv_norm(3, 64, 7, stride=2, activation=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, depth in enumerate((3, 4, 6, 3)):
            for index in range(depth):
                stride = 2 if stage and not index else 1
                layers.append(block(channels, 64 << stage, stride))
                channels = expansion * (64 << stage)
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Inception(nn.Module):
    """Four branches side by side, each of its own width, concatenated."""

    def __init__(
        self, inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pool: int
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                _unit(inputs, one, 1),
                nn.Sequential(_unit(inputs, three[0], 1), _unit(*three, 3)),
                nn.Sequential(_unit(inputs, five[0], 1), _unit(*five, 3)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), _unit(inputs, pool, 1)),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The branches' channels in order, at the input's size."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """GoogLeNet's convolution: with BatchNorm and ReLU."""
    return conv_norm(inputs, outputs, kernel, stride=stride, eps=1e-3, activation=nn.ReLU())


class GoogLeNet(nn.Sequential):
    """Inception v1 with BatchNorm, as torchvision has it: 1.50 GMAC, 6,624,904 parameters.

    Its wider branch is 3x3 where the paper says 5x5, as in the weights everybody loads; no auxiliary heads.
    """

    def __init__(self) -> None:
        def halve(kernel: int = 3) -> nn.Module:
            return nn.MaxPool2d(kernel, 2, ceil_mode=True)

        super().__init__(
            *(_unit(3, 64, 7, 2), halve(), _unit(64, 64, 1), _unit(64, 192, 3), halve()),
            Inception(192, 64, (96, 128), (16, 32), 32),
            Inception(256, 128, (128, 192), (32, 96), 64),
            halve(),
            Inception(480, 192, (96, 208), (16, 48), 64),
            Inception(512, 160, (112, 224), (24, 64), 64),
            Inception(512, 128, (128, 256), (24, 64), 64),
            Inception(512, 112, (144, 288), (32, 64), 64),
            Inception(528, 256, (160, 320), (32, 128), 128),
            halve(2),
            Inception(832, 256, (160, 320), (32, 128), 128),
            Inception(832, 384, (192, 384), (48, 128), 128),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1024, 1000)),
        )


class DenseLayer(nn.Module):
    """BatchNorm and ReLU before each of a 1x1 and a 3x3 convolution, whose result joins what came in."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What came in and ``growth`` more channels."""
        narrow = self.conv1(functional.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(functional.relu(self.norm2(narrow)))], 1)


class DenseNet121(nn.Sequential):
    """Huang et al., growth 32, blocks of 6, 12, 24 and 16 layers: 2.83 GMAC, 7,978,856 parameters."""

    def __init__(self) -> None:
        layers = [conv_norm(3, 64, 7, stride=2, activation=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
        channels, growth = 64, 32
        for depth in (6, 12, 24, 16):
            if channels != 64:
                halved = nn.Conv2d(channels, channels // 2, 1, bias=False)
                layers += [nn.BatchNorm2d(channels), nn.ReLU(), halved, nn.AvgPool2d(2)]
                channels //= 2
            layers += [DenseLayer(channels + growth * index, growth) for index in range(depth)]
            channels += growth * depth
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, nn.Linear(channels, 1000))


MODELS = (
    SuiteModel(name="vgg16", network=VGG16, inputs=IMAGE),
    SuiteModel(name="resnet34", network=lambda: ResNet(bottlenecks=False), inputs=IMAGE),
    SuiteModel(name="resnet50", network=lambda: ResNet(bottlenecks=True), inputs=IMAGE),
    SuiteModel(name="googlenet", network=GoogLeNet, inputs=IMAGE),
    SuiteModel(name="densenet121", network=DenseNet121, inputs=IMAGE),
)
