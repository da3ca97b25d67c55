"""Spell a PRelu as the difference of two Relus.

    prelu(x, s)  ->  relu(x) + (−s)·relu(−1·x)

By itself, or fused into a convolution. Exact: one of the two terms is always zero. The minus one stands
beside x as one number a channel where the channels are known, and so does −s: products that onnxruntime
runs in its blocked layout, where PRelu has no place. There a PRelu with a slope for each of 64 channels
took longer than the convolutions around it, and so spelled all three took a sixth of the time.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Convolution, Mul, Neg, Op, PRelu, Relu
from convgraph.passes.lowering.lowered_activation import activation_at
from convgraph.passes.rewrite import Measure, Rewrite


def prelus(graph: Graph) -> int:
    """Measure: how many PRelus there are, by themselves or fused."""
    return sum(isinstance(activation_at(graph, node), PRelu) for node in graph.compute_nodes())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sloped:
    """A PRelu, or a convolution that has one fused, and the slope below zero."""

    node: int
    slope: Value


@dataclass(frozen=True, kw_only=True)
class LowerPreluToRelu(Rewrite[Sloped]):
    """Spell a PRelu as the difference of two Relus."""

    name: ClassVar[str] = "lower-prelu-to-relu"
    roots: ClassVar[tuple[type[Op], ...]] = (PRelu, Convolution)
    lowers: ClassVar[tuple[type[Op], ...]] = (PRelu,)
    measure: ClassVar[Measure] = staticmethod(prelus)

    def find(self, graph: Graph, node: int) -> Sloped | None:
        """A PRelu of a floating-point value: of anything else there may be no Relu."""
        slope = graph.operands(node)[-1] if isinstance(activation_at(graph, node), PRelu) else None
        is_float = graph.type(Value(node, 0)).dtype.is_float
        return None if slope is None or not is_float else Sloped(node=node, slope=slope)

    def apply(self, edit: Edit, m: Sloped) -> None:
        """Add what is above zero to what is below, times the slope."""
        graph, op = edit.graph, edit.graph.op(m.node)
        kind, slope = graph.type(Value(m.node, 0)), graph.constant(m.slope)
        x = graph.operand(m.node, 0)
        if isinstance(op, Convolution):
            x = edit.add(replace(op, activation=None), *graph.operands(m.node)[:3], like=m.node)
        channels = kind.dim(1)
        shape = (channels, *(1,) * ((kind.rank or 2) - 2)) if isinstance(channels, int) else ()
        minus = edit.constant(np.full(shape, -1, kind.dtype.numpy), name="minus_one")
        below = edit.add(Relu(), edit.add(Mul(), x, minus))
        opposite = edit.add(Neg(), m.slope) if slope is None else edit.constant(-slope.numpy(), like=m.slope)
        scaled = edit.add(Mul(), below, opposite)
        edit.replace(Value(m.node, 0), edit.add(Add(), edit.add(Relu(), x), scaled))
