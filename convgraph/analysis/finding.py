"""What lint has to say of one place in a graph, and the weights it looks at."""

from dataclasses import dataclass

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, ConvTranspose, Mul
from convgraph.ir.tensor import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that costs quality, speed or portability: where, what, and the remedy in words.

    ``rewrite`` names the rewrite that applies the remedy, if there may be one, and ``options`` are what
    ``convgraph optimize`` needs for it. With neither, the remedy is for whoever made the model.
    """

    rule: str
    where: str
    what: str
    remedy: str
    rewrite: str | None = None
    options: tuple[str, ...] = ()


def known_weight(graph: Graph, value: Value | None) -> Array | None:
    """A weight in float64, if it is a constant or a constant times a constant mask; else None."""
    if value is None:
        return None
    producer = graph.producer(value)
    operands = graph.operands(value.node) if isinstance(producer, Mul) else (value,)
    factors = [graph.constant(operand) for operand in operands]
    arrays = [tensor.numpy() for tensor in factors if tensor is not None and tensor.dtype.is_float]
    if len(arrays) != len(factors):
        return None
    return np.asarray(np.prod(np.broadcast_arrays(*(a.astype(np.float64) for a in arrays)), axis=0))


def by_output_channel(op: Conv | ConvTranspose, weight: Array) -> Array:
    """A weight with the output channels first: (M, C/group, *kernel)."""
    if isinstance(op, Conv):
        return weight
    rows, columns, *kernel = weight.shape
    grouped = weight.reshape(op.group, rows // op.group, columns, *kernel)
    return np.moveaxis(grouped, 2, 1).reshape(op.group * columns, rows // op.group, *kernel)


def sizes_text(sizes: tuple[int, ...]) -> str:
    """Sizes along the axes as people write them: ``3x5``."""
    return "x".join(map(str, sizes))
