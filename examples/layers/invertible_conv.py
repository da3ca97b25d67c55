"""Invertible 1×1 convolution of Glow: W = P·L·(U + diag s) from its factors, and channels-last."""

import torch
from torch import nn

INPUT = (2, 6, 7, 5)
FINDS = ("fold-constants", "fuse-transposed-matmul-into-conv", "compose-convs")
ON_WEIGHTS = 2 * 6 * 6 * 6


class InvertibleConv(nn.Module):
    """y = P·L·(U + diag(sign·exp(log s)))·x at every pixel; ``last``: L and U a product each."""

    def __init__(self, channels: int, *, last: bool) -> None:
        super().__init__()
        p, lower, upper = torch.linalg.lu(torch.linalg.qr(torch.randn(channels, channels))[0])
        self.register_buffer("p", p)
        self.register_buffer("below", torch.ones(channels, channels).tril(-1))
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower, self.upper = nn.Parameter(lower), nn.Parameter(upper)
        self.log_s = nn.Parameter(upper.diagonal().abs().log())
        self.bias = nn.Parameter(torch.randn(channels))
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One convolution, or permutation, two triangular products and a bias between transpositions."""
        eye = torch.eye(len(self.p))
        lower = self.lower * self.below + eye
        upper = self.upper * self.below.T + eye * (self.sign * self.log_s.exp())
        if not self.last:
            return nn.functional.conv2d(x, (self.p @ lower @ upper)[:, :, None, None])
        pixels = x.permute(0, 2, 3, 1).reshape(-1, len(self.p))
        y = nn.functional.linear(pixels @ upper.T, lower) + self.bias
        return y.reshape(-1, *x.shape[2:], len(self.p)).permute(0, 3, 1, 2)


def build() -> nn.Module:
    """Both spellings in a row: one convolution in the end."""
    return nn.Sequential(InvertibleConv(6, last=False), InvertibleConv(6, last=True))
