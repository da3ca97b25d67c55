"""The pair of layers that most of the suite's networks are made of."""

from torch import nn


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    eps: float = 1e-5,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """A convolution without bias that keeps the size at stride 1, BatchNorm, and an activation if given."""
    padding = kernel // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    layers = [conv, nn.BatchNorm2d(outputs, eps=eps)]
    return nn.Sequential(*layers) if activation is None else nn.Sequential(*layers, activation)
