"""Real-NVP: affine couplings whose halves are told apart by masks, a checkerboard and one of the channels."""

import torch
from torch import nn

INPUT = (2, 4, 6, 10)
FINDS = ("fold-constants", "fold-scale-into-next-conv", "fuse-activation-into-conv")


class MaskedCoupling(nn.Module):
    """y = x·(b + (1 − b)·exp(s(b·x))) + (1 − b)·t(b·x): where the mask b is 1, x stays."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.hidden = nn.Conv2d(4, 8, 3, padding=1)
        self.scale, self.shift = nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale and shift one half by what the other one says."""
        features = torch.relu(self.hidden(self.mask * x))
        scale, shift = torch.tanh(self.scale(features)), self.shift(features)
        changed = 1 - self.mask
        return x * (self.mask + changed * scale.exp()) + changed * shift


def build() -> nn.Module:
    """Four couplings, the masks in turns."""
    checkerboard = ((torch.arange(6)[:, None] + torch.arange(10)) % 2).float()
    channels = torch.tensor([1.0, 0.0, 0.0, 1.0])[:, None, None]
    masks = (checkerboard, 1 - checkerboard, channels, 1 - channels)
    return nn.Sequential(*map(MaskedCoupling, masks))
