"""Approximate a network within an error budget, train it a little in PyTorch, and optimize it again.

Needs ``pip install 'convgraph[torch]'``.
"""

from itertools import pairwise

import torch
from torch import nn

import convgraph as cg

CHANNELS = (3, 16, 24, 32, 32, 40, 48, 48, 10)


def network() -> nn.Sequential:
    """Eight layers whose weights, as those of trained networks, have few strong directions and many weak."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(CHANNELS):
        conv = nn.Conv2d(inside, outside, 3, padding=1)
        left, values, right = torch.linalg.svd(conv.weight.detach().flatten(1), full_matrices=False)
        whole = left * (values[0] * 0.6 ** torch.arange(len(values))) @ right
        conv.weight.data = (whole / whole.std() / whole.shape[1] ** 0.5).view_as(conv.weight)
        layers += [conv, nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def distance(student: nn.Module, teacher: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """How far the student's outputs are off, relative to their size (root mean square)."""
    with torch.no_grad():
        wanted = teacher(images)
    return (student(images) - wanted).norm() / wanted.norm()


def main() -> None:
    """Approximate, train, optimize."""
    torch.manual_seed(0)
    teacher, images = network(), torch.randn(4, 3, 22, 18)

    result = cg.optimize(cg.from_torch(teacher, images), max_error=0.01)
    assert result.approximated is not None
    assert result.verification is not None
    result.verification.raise_if_different()
    for step in result.approximated.steps:
        print(f"{step.rewrite} at {step.at}: error {step.error:.2g} from here on")

    student = cg.to_torch(result.graph)
    before = distance(student, teacher, images).item()
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-6)
    for _ in range(20):
        optimizer.zero_grad()
        distance(student, teacher, torch.randn(4, 3, 22, 18)).backward()
        optimizer.step()
    after = distance(student, teacher, images).item()
    print(f"off by {before:.3g} before training, by {after:.3g} after")
    assert after < before

    again = cg.optimize(cg.from_torch(student, images))
    assert again.verification is not None
    again.verification.raise_if_different()
    print(again.verification.reason or "equal in onnxruntime")


if __name__ == "__main__":
    main()
