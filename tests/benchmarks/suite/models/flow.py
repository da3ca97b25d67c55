"""Glow (Kingma & Dhariwal): from an image to latents, with the log-likelihood."""

import math

import torch
from benchmarks.suite.models.suite_model import SuiteModel
from torch import nn
from torch.nn import functional

Step = tuple[torch.Tensor, torch.Tensor]


class ActNorm(nn.Module):
    """A scale and a shift of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(1, channels, 1, 1) / 10)
        self.logs = nn.Parameter(torch.randn(1, channels, 1, 1) / 10)

    def forward(self, x: torch.Tensor) -> Step:
        """The scaled value and its log-determinant."""
        return (x + self.bias) * self.logs.exp(), self.logs.sum() * x.shape[2] * x.shape[3]


class InvertibleConv(nn.Module):
    """A 1x1 convolution by W = P · L · (U + diag(s)): only L, U and the logarithm of |s| are learned."""

    permutation: torch.Tensor
    lower_mask: torch.Tensor
    sign_s: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("lower_mask", torch.ones_like(lower).tril(-1))
        self.register_buffer("sign_s", diagonal.sign())
        self.lower, self.upper = nn.Parameter(lower), nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(diagonal.abs().log())

    def weight(self) -> torch.Tensor:
        """W, [channels, channels]."""
        ones = torch.eye(len(self.log_s), device=self.log_s.device)
        lower = self.lower * self.lower_mask + ones
        upper = self.upper * self.lower_mask.T + torch.diag(self.sign_s * self.log_s.exp())
        return self.permutation @ lower @ upper

    def forward(self, x: torch.Tensor) -> Step:
        """The mixed channels and the log-determinant."""
        return functional.conv2d(x, self.weight()[:, :, None, None]), self.log_s.sum() * x.shape[2] * x.shape[
            3
        ]


class ScaledConv(nn.Conv2d):
    """The 3x3 convolution that starts at zero: its outputs are scaled by a learned exponential."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.logs = nn.Parameter(torch.empty(1, outputs, 1, 1).uniform_(-0.7, -0.4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features at the input's size."""
        return super().forward(x) * (3 * self.logs).exp()


class Coupling(nn.Module):
    """Half of the channels scaled and shifted by what a network makes of the other half."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            *(nn.Conv2d(channels // 2, hidden, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(hidden, hidden, 1), nn.ReLU(), ScaledConv(hidden, channels)),
        )

    def forward(self, x: torch.Tensor) -> Step:
        """The value with its second half changed, and the log-determinant."""
        kept, changed = x.chunk(2, 1)
        decided = self.network(kept)
        shift, scale = decided[:, 0::2], torch.sigmoid(decided[:, 1::2] + 2)
        return torch.cat([kept, (changed + shift) * scale], 1), scale.log().sum((1, 2, 3))


class Split(nn.Module):
    """Half of the channels leave as a latent, whose distribution the other half predicts."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.prior = ScaledConv(channels // 2, channels)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What goes on, the latent, and the latent's log-density."""
        kept, latent = x.chunk(2, 1)
        mean, logs = self.prior(kept).chunk(2, 1)
        return kept, latent, gaussian(latent, mean, logs)


def gaussian(x: torch.Tensor, mean: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
    """Log-density of x, summed over each image: [N]."""
    density = -0.5 * (math.log(2 * math.pi) + 2 * logs + (x - mean) ** 2 * (-2 * logs).exp())
    return density.sum((1, 2, 3))


def squeeze(x: torch.Tensor) -> torch.Tensor:
    """Every 2x2 pixels as the channels of one: [N, 4C, H / 2, W / 2]."""
    batch, channels, height, width = x.shape
    blocks = x.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return blocks.reshape(batch, 4 * channels, height // 2, width // 2)


class Glow(nn.Module):
    """Three levels of eight steps, couplings 512 wide, on 64 px: 4.01 GMAC."""

    def __init__(self, *, levels: int = 3, steps: int = 8, hidden: int = 512) -> None:
        super().__init__()
        widths = [12 << level for level in range(levels)]
        self.levels = nn.ModuleList(
            nn.ModuleList(
                part
                for _ in range(steps)
                for part in (ActNorm(width), InvertibleConv(width), Coupling(width, hidden))
            )
            for width in widths
        )
        self.splits = nn.ModuleList(Split(width) for width in widths[:-1])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The latents, the finest first, and the log-likelihood: [N]."""
        latents: list[torch.Tensor] = []
        total = torch.zeros(x.shape[0], device=x.device)
        for index, steps in enumerate(self.levels):
            x = squeeze(x)
            assert isinstance(steps, nn.ModuleList)
            for step in steps:
                x, logdet = step(x)
                total = total + logdet
            if index < len(self.splits):
                x, latent, density = self.splits[index](x)
                latents.append(latent)
                total = total + density
        zero = torch.zeros_like(x)
        return (*latents, x, total + gaussian(x, zero, zero))


MODELS = (SuiteModel(name="glow", network=Glow, inputs=((1, 3, 64, 64),)),)
