"""A pruned network: filters that were zeroed, filters that are copies, and a kernel spread out with zeros."""

import torch
from torch import nn

INPUT = (2, 3, 23, 18)
FINDS = ("drop-redundant-channels", "crop-interior-taps", "fold-batchnorm-into-conv")


def pruned(layer: nn.Conv2d, *, zeroed: slice, copied: slice) -> nn.Conv2d:
    """The layer with some filters zero and some the same as the last one."""
    with torch.no_grad():
        layer.weight[zeroed] = 0
        layer.weight[copied] = layer.weight[-1:]
    return layer


def spread(layer: nn.Conv2d, step: int) -> nn.Conv2d:
    """The layer with zeros between every ``step``-th of its taps: an à trous filter written out."""
    with torch.no_grad():
        kept = layer.weight[..., ::step, ::step].clone()
        layer.weight.zero_()[..., ::step, ::step] = kept
    return layer


def build() -> nn.Module:
    """The module to optimize: half of the channels between the first two layers can go."""
    return nn.Sequential(
        pruned(nn.Conv2d(3, 16, 3, padding=1, bias=False), zeroed=slice(0, 6), copied=slice(6, 8)),
        nn.ReLU(),
        spread(nn.Conv2d(16, 10, 5, padding=2, bias=False), 2),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        nn.Conv2d(10, 7, 1),
    )
