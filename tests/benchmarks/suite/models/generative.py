"""Networks that make images: a diffusion model's decoder, a GAN's generator, a style's, an inpainter."""

import torch
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional

# Of Stable Diffusion's decoder: channels of its levels, the coarsest first.
VAE_WIDTHS = (512, 512, 256, 128)


def group_norm(channels: int) -> nn.GroupNorm:
    """The normalisation of all blocks of the decoder."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class Residual(nn.Module):
    """Twice GroupNorm, SiLU and a 3×3 convolution, added to the input, by a 1×1 where the width changes."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, width, 3, padding=1),
            group_norm(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of the same size and the block's width."""
        added: torch.Tensor = self.shortcut(x) + self.block(x)
        return added


class Attention(nn.Module):
    """Each pixel attends to all others, with one head as wide as the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of the same shape."""
        pixels = self.norm(x).flatten(2).transpose(1, 2).unsqueeze(1)
        seen = functional.scaled_dot_product_attention(
            self.query(pixels), self.key(pixels), self.value(pixels)
        )
        attended: torch.Tensor = x + self.out(seen).squeeze(1).transpose(1, 2).reshape(x.shape)
        return attended


class Doubled(nn.Module):
    """Each pixel doubled, then a 3×3 convolution, on as many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of twice the size."""
        large: torch.Tensor = self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return large


def vae_decoder() -> nn.Module:
    """Stable Diffusion's (Rombach et al. 2022): latents to an image 8 times as large. 49.5 M parameters."""
    deepest, last = VAE_WIDTHS[0], VAE_WIDTHS[-1]
    layers = [nn.Conv2d(4, deepest, 3, padding=1), Residual(deepest, deepest)]
    layers += [Attention(deepest), Residual(deepest, deepest)]
    for before, width in zip((deepest, *VAE_WIDTHS), VAE_WIDTHS, strict=False):
        layers += [Residual(before, width), Residual(width, width), Residual(width, width), Doubled(width)]
    layers[-1:] = [group_norm(last), nn.SiLU(), nn.Conv2d(last, 3, 3, padding=1)]
    return nn.Sequential(*layers)


def dcgan() -> nn.Module:
    """Radford et al. 2016: 100 numbers to 64 px by 4×4 transposed convolutions. 12.7 M parameters."""
    widths = (1024, 512, 256, 128)
    layers: list[nn.Module] = []
    for level, (before, width) in enumerate(zip((100, *widths), widths, strict=False)):
        stride, padding = (2, 1) if level else (1, 0)
        up = nn.ConvTranspose2d(before, width, 4, stride=stride, padding=padding, bias=False)
        layers += [up, nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, stride=2, padding=1), nn.Tanh())


def reflected(channels: int, width: int, size: int, *, stride: int = 1, up: bool = False) -> nn.Sequential:
    """A convolution that sees the image mirrored at its borders, an instance norm, and a ReLU.

    Pixels are doubled before it where it is ``up``.
    """
    return nn.Sequential(
        nn.Upsample(scale_factor=2.0, mode="nearest") if up else nn.Identity(),
        nn.ReflectionPad2d(size // 2),
        nn.Conv2d(channels, width, size, stride=stride),
        nn.InstanceNorm2d(width, affine=True),
        nn.ReLU(),
    )


class StyleBlock(nn.Module):
    """Two convolutions with instance norms around, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*reflected(width, width, 3), *list(reflected(width, width, 3))[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of the same shape."""
        added: torch.Tensor = x + self.block(x)
        return added


def style_transfer() -> nn.Module:
    """Johnson et al. 2016 with doubled pixels for transposed convolutions. 1.7 M parameters."""
    return nn.Sequential(
        *reflected(3, 32, 9),
        *reflected(32, 64, 3, stride=2),
        *reflected(64, 128, 3, stride=2),
        *(StyleBlock(128) for _ in range(5)),
        *reflected(128, 64, 3, up=True),
        *reflected(64, 32, 3, up=True),
        *list(reflected(32, 3, 9))[:-2],
    )


class Gated(nn.Module):
    """ELU of a convolution, times the sigmoid of another one of the same input."""

    def __init__(self, channels: int, width: int, *, size: int = 3, stride: int = 1, rate: int = 1) -> None:
        super().__init__()
        padding = rate * (size // 2)
        self.feature, self.gate = (
            nn.Conv2d(channels, width, size, stride=stride, padding=padding, dilation=rate) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The gated features."""
        return functional.elu(self.feature(x)) * torch.sigmoid(self.gate(x))


def inpainting() -> nn.Module:
    """The coarse network of free-form inpainting (Yu et al. 2019): three colours and the mask to colours.

    What lies outside [-1, 1] is no colour and is cut off first.
    """
    width = 48
    return nn.Sequential(
        nn.Hardtanh(),
        Gated(4, width, size=5),
        Gated(width, 2 * width, stride=2),
        Gated(2 * width, 2 * width),
        Gated(2 * width, 4 * width, stride=2),
        *(Gated(4 * width, 4 * width) for _ in range(2)),
        *(Gated(4 * width, 4 * width, rate=rate) for rate in (2, 4, 8, 16)),
        *(Gated(4 * width, 4 * width) for _ in range(2)),
        nn.Upsample(scale_factor=2.0, mode="nearest"),
        Gated(4 * width, 2 * width),
        Gated(2 * width, 2 * width),
        nn.Upsample(scale_factor=2.0, mode="nearest"),
        Gated(2 * width, width),
        Gated(width, width // 2),
        nn.Conv2d(width // 2, 3, 3, padding=1),
        nn.Tanh(),
    )


MODELS: tuple[SuiteModel, ...] = (
    SuiteModel(name="vae_decoder", network=vae_decoder, inputs=((1, 4, 32, 32),)),
    SuiteModel(name="dcgan", network=dcgan, inputs=((1, 100, 1, 1),)),
    SuiteModel(name="style_transfer", network=style_transfer, inputs=((1, 3, 256, 256),)),
    SuiteModel(name="inpainting", network=inpainting, inputs=((1, 4, 256, 256),), gain=1.4),
)
