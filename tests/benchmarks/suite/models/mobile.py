"""The classifiers that phones run, as torchvision has them: depthwise filters, shuffles, gates; 224 px."""

import torch
from benchmarks.suite.models.layers import conv_norm
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn

IMAGE = ((1, 3, 224, 224),)


class Expanded(nn.Module):
    """MobileNet v2's and EfficientNet's block: a body, and what came in added where sizes agree."""

    def __init__(self, inputs: int, outputs: int, body: list[nn.Module], *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.added = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the block, at the size that its stride leaves."""
        out: torch.Tensor = self.body(x)
        return x + out if self.added else out


def inverted_residual(inputs: int, outputs: int, *, expansion: int, stride: int) -> Expanded:
    """MobileNet v2's block; the narrowing convolution has no activation."""
    hidden = inputs * expansion
    body: list[nn.Module] = []
    if expansion != 1:
        body.append(conv_norm(inputs, hidden, 1, activation=nn.ReLU6()))
    body.append(conv_norm(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6()))
    body.append(conv_norm(hidden, outputs, 1))
    return Expanded(inputs, outputs, body, stride=stride)


class MobileNetV2(nn.Sequential):
    """Sandler et al., width 1: 0.30 GMAC, 3,504,872 parameters."""

    # expansion, channels, blocks, stride of the first
    STAGES = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self) -> None:
        layers: list[nn.Module] = [conv_norm(3, 32, 3, stride=2, activation=nn.ReLU6())]
        channels = 32
        for expansion, width, depth, stride in self.STAGES:
            for index in range(depth):
                step = stride if index == 0 else 1
                layers.append(inverted_residual(channels, width, expansion=expansion, stride=step))
                channels = width
        layers += [conv_norm(channels, 1280, 1, activation=nn.ReLU6())]
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000)
        )


class Gate(nn.Module):
    """Squeeze and excitation: each channel times a number from 0 to 1 that all channels' means decide."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.pool, self.activation = nn.AdaptiveAvgPool2d(1), nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The channels, scaled."""
        return x * torch.sigmoid(self.expand(self.activation(self.reduce(self.pool(x)))))


def gated_residual(inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int) -> Expanded:
    """EfficientNet's MBConv, whose gate squeezes to a quarter of the block's input."""
    hidden = inputs * expansion
    body: list[nn.Module] = []
    if expansion != 1:
        body.append(conv_norm(inputs, hidden, 1, activation=nn.SiLU()))
    body.append(conv_norm(hidden, hidden, kernel, stride=stride, groups=hidden, activation=nn.SiLU()))
    body += [Gate(hidden, inputs // 4), conv_norm(hidden, outputs, 1)]
    return Expanded(inputs, outputs, body, stride=stride)


class EfficientNetB0(nn.Sequential):
    """Tan & Le: 0.39 GMAC, 5,288,548 parameters. Its stochastic depth is for training only and left out."""

    # expansion, kernel, channels, blocks, stride of the first
    STAGES = (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    )

    def __init__(self) -> None:
        layers: list[nn.Module] = [conv_norm(3, 32, 3, stride=2, activation=nn.SiLU())]
        channels = 32
        for expansion, kernel, width, depth, stride in self.STAGES:
            for index in range(depth):
                shape = {"expansion": expansion, "kernel": kernel, "stride": stride if index == 0 else 1}
                layers.append(gated_residual(channels, width, **shape))
                channels = width
        layers += [conv_norm(channels, 1280, 1, activation=nn.SiLU())]
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000)
        )


class Shuffled(nn.Module):
    """ShuffleNet v2's block: two halves of the channels, one or both filtered, interleaved.

    At stride 2 both branches read the whole input.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.halving, width = stride == 2, outputs // 2
        self.left = nn.Sequential()
        if self.halving:
            depthwise = conv_norm(inputs, inputs, 3, stride=2, groups=inputs)
            self.left = nn.Sequential(depthwise, conv_norm(inputs, width, 1, activation=nn.ReLU()))
        self.right = nn.Sequential(
            conv_norm(inputs if self.halving else width, width, 1, activation=nn.ReLU()),
            conv_norm(width, width, 3, stride=stride, groups=width),
            conv_norm(width, width, 1, activation=nn.ReLU()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Channels of the two branches in turn, at the size that the stride leaves."""
        left, right = (x, x) if self.halving else x.chunk(2, 1)
        y = torch.cat([self.left(left), self.right(right)], 1)
        batch, channels, height, width = y.shape
        turned = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return turned.view(batch, channels, height, width)


class ShuffleNetV2(nn.Sequential):
    """Ma et al., 1.0x: 0.15 GMAC, 2,278,604 parameters."""

    def __init__(self) -> None:
        layers = [conv_norm(3, 24, 3, stride=2, activation=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
        channels = 24
        for width, depth in ((116, 4), (232, 8), (464, 4)):
            layers.append(Shuffled(channels, width, stride=2))
            layers += [Shuffled(width, width, stride=1) for _ in range(depth - 1)]
            channels = width
        layers += [conv_norm(channels, 1024, 1, activation=nn.ReLU())]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000))


MODELS = (
    SuiteModel(name="mobilenet_v2", network=MobileNetV2, inputs=IMAGE),
    SuiteModel(name="shufflenet_v2", network=ShuffleNetV2, inputs=IMAGE),
    SuiteModel(name="efficientnet_b0", network=EfficientNetB0, inputs=IMAGE),
)
