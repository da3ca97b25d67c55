"""Networks that compute more than their function needs: branches as trained, coordinates as channels."""

import torch
from benchmarks.suite.models.layers import conv_norm
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional


class RepBlock(nn.Module):
    """A 3x3, a 1x1 and, where sizes agree, an identity branch, each with BatchNorm; a ReLU of their sum."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.dense = conv_norm(inputs, outputs, 3, stride=stride)
        self.pointwise = conv_norm(inputs, outputs, 1, stride=stride)
        same = stride == 1 and inputs == outputs
        self.identity = nn.BatchNorm2d(inputs) if same else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of the block, at the size that its stride leaves."""
        total = self.dense(x) + self.pointwise(x)
        return functional.relu(total if self.identity is None else total + self.identity(x))


class RepVGG(nn.Sequential):
    """RepVGG-A1 (Ding et al.) in its training form, 224 px: 2.63 GMAC, 14,092,264 parameters.

    Deployed, its branches merged, it is 2.36 GMAC and 12,789,864 parameters.
    """

    def __init__(self) -> None:
        layers: list[nn.Module] = [RepBlock(3, 64, stride=2)]
        channels = 64
        for width, depth in ((64, 2), (128, 4), (256, 14), (1280, 1)):
            for index in range(depth):
                layers.append(RepBlock(channels, width, stride=1 if index else 2))
                channels = width
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class CoordConv(nn.Module):
    """A convolution that also sees where it is (Liu et al.): x and y from -1 to 1 as two more channels."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = conv_norm(inputs + 2, outputs, 3, stride=stride, activation=nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features, at the size that the stride leaves."""
        batch, _, height, width = x.shape
        across = torch.linspace(-1, 1, width, device=x.device).expand(batch, 1, height, width)
        down = torch.linspace(-1, 1, height, device=x.device)[:, None].expand(batch, 1, height, width)
        out: torch.Tensor = self.conv(torch.cat([x, across, down], 1))
        return out


class CoordConvNet(nn.Sequential):
    """Eight CoordConvs of 64 channels, two at each of 128, 64, 32 and 16 px; ten points: 1.08 GMAC."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [CoordConv(3, 64), CoordConv(64, 64)]
        for _ in range(3):
            layers += [CoordConv(64, 64, stride=2), CoordConv(64, 64)]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 20))


MODELS = (
    SuiteModel(name="repvgg", network=RepVGG, inputs=((1, 3, 224, 224),)),
    SuiteModel(name="coordconv", network=CoordConvNet, inputs=((1, 3, 128, 128),)),
)
