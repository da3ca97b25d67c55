"""Networks that make a signal longer or larger: super-resolution of images, and a vocoder's speech."""

import torch
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional


class ScaledResidual(nn.Module):
    """Two 3×3 convolutions with a ReLU between, a tenth of them added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of the same shape."""
        added: torch.Tensor = x + self.second(functional.relu(self.first(x))) * 0.1
        return added


class Edsr(nn.Module):
    """Lim et al. 2017: residual blocks without normalisation, then a larger image from channels.

    The images' mean colour is taken off first and put back last.
    """

    def __init__(self, width: int, blocks: int, *, scale: int = 2) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.register_buffer("mean", torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1))
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*(ScaledResidual(width) for _ in range(blocks)))
        self.after = nn.Conv2d(width, width, 3, padding=1)
        enlarge = [nn.Conv2d(width, width * scale**2, 3, padding=1), nn.PixelShuffle(scale)]
        self.last = nn.Sequential(*enlarge, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The image at ``scale`` times its size."""
        x = self.first((image - self.mean) * 255.0)
        larger: torch.Tensor = self.last(self.after(self.body(x)) + x) / 255.0 + self.mean
        return larger


def edsr() -> nn.Module:
    """The wide one's 256 channels with the baseline's 16 blocks, twice the size."""
    return Edsr(256, 16)


def edsr_baseline() -> nn.Module:
    """64 channels, 16 blocks, twice the size. 1.37 M parameters."""
    return Edsr(64, 16)


def espcn() -> nn.Module:
    """Shi et al. 2016: the brightness of an image at three times its size. 22.7 k parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(32, 9, 3, padding=1),
        nn.PixelShuffle(3),
    )


class Dilated(nn.Module):
    """One receptive field of a vocoder: pairs of convolutions, each pair added to its input."""

    def __init__(self, width: int, size: int, *, rates: tuple[int, ...] = (1, 3, 5)) -> None:
        super().__init__()
        self.wide = nn.ModuleList(
            nn.Conv1d(width, width, size, padding=rate * (size // 2), dilation=rate) for rate in rates
        )
        self.narrow = nn.ModuleList(nn.Conv1d(width, width, size, padding=size // 2) for _ in rates)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A signal of the same shape."""
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            x = x + narrow(functional.leaky_relu(wide(functional.leaky_relu(x, 0.1)), 0.1))
        return x


class Lengthening(nn.Module):
    """A transposed convolution that makes the signal longer, then the mean of three receptive fields."""

    def __init__(self, channels: int, *, rate: int, sizes: tuple[int, ...] = (3, 7, 11)) -> None:
        super().__init__()
        width = channels // 2
        self.up = nn.ConvTranspose1d(channels, width, 2 * rate, stride=rate, padding=rate // 2)
        self.fields = nn.ModuleList(Dilated(width, size) for size in sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Half the channels, ``rate`` times the length."""
        x = self.up(functional.leaky_relu(x, 0.1))
        first, *others = [field(x) for field in self.fields]
        mean: torch.Tensor = sum(others, first) / len(self.fields)
        return mean


def hifigan() -> nn.Module:
    """Kong et al. 2020, the generator V1: 80 mel bands to 256 samples a frame. 13.9 M parameters."""
    rates = (8, 8, 2, 2)
    widths = [512 >> level for level in range(len(rates) + 1)]
    return nn.Sequential(
        nn.Conv1d(80, widths[0], 7, padding=3),
        *(Lengthening(width, rate=rate) for width, rate in zip(widths, rates, strict=False)),
        nn.LeakyReLU(),
        nn.Conv1d(widths[-1], 1, 7, padding=3),
        nn.Tanh(),
    )


MODELS: tuple[SuiteModel, ...] = (
    SuiteModel(name="edsr", network=edsr, inputs=((1, 3, 48, 48),)),
    SuiteModel(name="edsr_baseline", network=edsr_baseline, inputs=((1, 3, 128, 128),)),
    SuiteModel(name="espcn", network=espcn, inputs=((1, 1, 224, 224),)),
    SuiteModel(name="hifigan", network=hifigan, inputs=((1, 80, 32),), gain=0.7),
)
