"""Max pooling that remembers where each maximum was (the switches), and unpooling that puts it back there."""

import torch
from torch import nn
from torch.nn import functional

INPUT = (2, 3, 18, 14)
FINDS = ("fold-batchnorm-into-conv", "fuse-activation-into-conv", "fuse-scatter-into-max-unpool")


class Unpooling(nn.Module):
    """Encode, pool; average and global pooling of the code; unpool by the switches, decode."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.decode = nn.Sequential(nn.Conv2d(6, 3, 3, padding=1), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """An image of the size of x, from the strongest features alone."""
        features = self.encode(x)
        pooled, switches = functional.max_pool2d(features, 2, return_indices=True)
        pooled = (
            pooled - functional.avg_pool2d(pooled, 3, stride=1, padding=1) + pooled.mean((2, 3), keepdim=True)
        )
        flat = torch.zeros_like(features).flatten(2)
        put_back = flat.scatter(2, switches.flatten(2), pooled.flatten(2))
        image: torch.Tensor = self.decode(put_back.reshape(features.shape))
        return image


def build() -> nn.Module:
    """The module to optimize."""
    return Unpooling()
