"""A step of Glow: squeeze, ActNorm, invertible 1×1 convolution, affine coupling, and the log-determinant."""

import torch
from torch import nn

INPUT = (2, 3, 8, 6)
FINDS = ("fold-constants", "fold-scale-into-next-conv", "fold-shift-into-next-conv")
ON_WEIGHTS = 12 * 12 * 12


class GlowStep(nn.Module):
    """y = coupling(W·(s·squeeze(x) + t)), flattened, with log|det ∂y/∂x| as the last number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_s = nn.Parameter(torch.randn(1, channels, 1, 1) / 2)
        self.shift = nn.Parameter(torch.randn(1, channels, 1, 1))
        lower = torch.randn(channels, channels).tril(-1) / 2
        self.lower, self.upper = nn.Parameter(lower), nn.Parameter(lower.T.clone())
        self.log_d = nn.Parameter(torch.randn(channels) / 4)
        hidden, last = nn.Conv2d(channels // 2, 16, 3, padding=1), nn.Conv2d(16, channels, 3, padding=1)
        self.net = nn.Sequential(hidden, nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(), last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The step and its log-determinant, of which all but the coupling's part is constant."""
        z = nn.functional.pixel_unshuffle(x, 2) * self.log_s.exp() + self.shift
        eye = torch.eye(len(self.log_d))
        weight = (self.lower + eye) @ (self.upper + eye * self.log_d.exp())
        kept, changed = nn.functional.conv2d(z, weight[:, :, None, None]).chunk(2, dim=1)
        shift, scale = self.net(kept).chunk(2, dim=1)
        scale = torch.sigmoid(scale + 2)
        pixels = z.shape[2] * z.shape[3]
        logdet = pixels * self.log_s.sum() + pixels * self.log_d.sum() + scale.log().sum(dim=(1, 2, 3))
        y = torch.cat([kept, (changed + shift) * scale], dim=1)
        return torch.cat([y.flatten(1), logdet[:, None]], dim=1)


def build() -> nn.Module:
    """One step on a colour image."""
    return GlowStep(12)
