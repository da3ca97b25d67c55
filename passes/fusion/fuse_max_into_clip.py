"""Make one Clip, or Relu, of comparisons with constants.

    max(x, 0)  ->  relu(x)
    max(x, l)  ->  clip(x; l, ∞)
    min(x, h)  ->  clip(x; −∞, h)
    min(clip(x; l, k), h)  ->  clip(x; l, min(k, h))
    max(clip(x; k, h), l)  ->  clip(x; max(k, l), h)        l ≤ h
    clip(clip(x; l, k); m, h)  ->  clip(x; max(l, m), min(k, h))        m ≤ k

with the constant on either side; relu(x) is clip(x; 0, ∞). Exact: the same comparisons. A ReLU6 that came as
Min and Max, or as Relu and Clip, becomes one operation, and one that runtimes make part of the convolution
before it.
"""

from dataclasses import dataclass
from math import inf, isnan
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Clip, Max, Min, Op, Relu
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.scalars import beside_a_number, bounds_of
from convgraph.passes.rewrite import Measure, Rewrite


def comparisons(graph: Graph) -> int:
    """Measure: how many bounds are compared with, those of a Max or Min twice."""
    ops = [graph.op(node) for node in graph.compute_nodes()]
    return sum(isinstance(op, (Max, Min, Clip, Relu)) + isinstance(op, (Max, Min)) for op in ops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A value and what it is kept between in the end; an infinite bound does not bind."""

    x: Value
    low: float
    high: float
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseMaxIntoClip(Rewrite[Compared]):
    """Make one Clip, or Relu, of comparisons with constants."""

    name: ClassVar[str] = "fuse-max-into-clip"
    roots: ClassVar[tuple[type[Op], ...]] = (Max, Min, Clip, Relu)
    measure: ClassVar[Measure] = staticmethod(comparisons)

    def find(self, graph: Graph, node: int) -> Compared | None:
        """A floating-point value beside one number, and a Clip that only this reads; or a Clip of a Clip."""
        compared = _compared(graph, node)
        if compared is None or not _has_clip(graph, graph.type(compared[0]).dtype):
            return None
        x, low, high = compared
        inner = bounds_of(graph, x.node)
        if inner is not None and low <= inner[1] and graph.sole_reader(x) is not None:
            source = graph.operand(x.node, 0)
            assert source is not None
            x, low, high = source, max(low, inner[0]), min(high, inner[1])
        elif isinstance(graph.op(node), (Clip, Relu)):
            return None
        return Compared(x=x, low=low, high=high, result=Value(node, 0))

    def apply(self, edit: Edit, m: Compared) -> None:
        """Put the one operation in the place of all."""
        kind = edit.graph.type(m.x).dtype.numpy
        if (m.low, m.high) == (0, inf):
            edit.replace(m.result, edit.add(Relu(), m.x, like=m.result.node))
            return
        names = {"low": m.low, "high": m.high}
        bounds = [
            None if abs(bound) == inf else edit.constant(np.array(bound, kind), name=name)
            for name, bound in names.items()
        ]
        edit.replace(m.result, edit.add(Clip(), m.x, *bounds, like=m.result.node))


def _compared(graph: Graph, node: int) -> tuple[Value, float, float] | None:
    """What a node compares with constant numbers, and what it keeps it between; None for anything else."""
    if isinstance(graph.op(node), (Clip, Relu)):
        x, bounds = graph.operand(node, 0), bounds_of(graph, node)
        return None if x is None or bounds is None else (x, *bounds)
    compared = beside_a_number(graph, node)
    if compared is None or isnan(compared[1]):
        return None
    x, bound, _ = compared
    return (x, bound, inf) if isinstance(graph.op(node), Max) else (x, -inf, bound)


def _has_clip(graph: Graph, dtype: DataType) -> bool:
    """Whether runtimes have a Clip of this element type: of doubles from opset 12 on."""
    return dtype.is_float and (dtype is not DataType.DOUBLE or graph.model.opset >= 12)
