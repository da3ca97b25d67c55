"""A batch normalisation as what it is in inference: a scale and a shift, one number a channel each."""

from collections.abc import Sequence

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import BatchNormalization
from convgraph.passes.fusion.channelwise import Vector


def given(operands: Sequence[Value | None]) -> tuple[Value, ...]:
    """The γ, β, μ and σ² among the operands of a batch normalisation."""
    return tuple(value for value in operands[1:] if value is not None)


def are_constant(graph: Graph, statistics: Sequence[Value]) -> bool:
    """Whether no statistic is computed or can be overridden by a caller."""
    return all(graph.constant(value) is not None for value in statistics)


def scale_and_shift(
    graph: Graph, norm: BatchNormalization, statistics: Sequence[Value]
) -> tuple[Vector, Vector]:
    """Scale s = γ / √(σ² + ε) and shift β − s·μ, in float64, of constant statistics."""
    tensors = [graph.constant(value) for value in statistics]
    gamma, beta, mean, variance = (t.numpy().astype(np.float64) for t in tensors if t is not None)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - scale * mean
