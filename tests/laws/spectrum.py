"""A network as trained ones are: its weights have a few strong directions and many weak ones."""

from collections.abc import Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Conv, Relu
from convgraph.ir.tensor import Array

LAYERS = ((16, 3), (24, 3), (32, 3), (32, 1), (40, 3), (48, 3), (48, 1), (10, 1))


def decaying(rng: np.random.Generator, *shape: int, decay: float = 0.6) -> Array:
    """A weight whose singular values, over its output channels, fall by a factor each."""
    flat = rng.normal(size=(shape[0], int(np.prod(shape[1:]))))
    left, _, right = np.linalg.svd(flat, full_matrices=False)
    values = decay ** np.arange(left.shape[1])
    whole = (left * values) @ right
    return (whole * np.sqrt(2 / flat.shape[1]) / whole.std()).reshape(shape).astype(np.float32)


def network(layers: Sequence[tuple[int, int]] = LAYERS, *, seed: int = 0, normalised: bool = True) -> Graph:
    """Convolutions (output channels, kernel size), each but the last with a normalisation and a Relu."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("network", opset=17)
    y = b.input("x", shape=("N", 3, 22, 18))
    for number, (outside, size) in enumerate(layers, start=1):
        inside = b.type(y).dim(1)
        assert isinstance(inside, int)
        weight = decaying(rng, outside, inside, size, size)
        bias = 0.1 * rng.normal(size=outside).astype(np.float32)
        y = b.add(Conv.of(2, pads=size // 2), y, weight, bias, name=f"y{number}", node=f"conv{number}")
        if number < len(layers):
            statistics = [rng.uniform(0.8, 1.25, outside).astype(np.float32) for _ in range(4)]
            y = b.add(BatchNormalization(), y, *statistics) if normalised else y
            y = b.add(Relu(), y)
    b.output(y, name="y")
    return b.build()
