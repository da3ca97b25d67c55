"""Fuse a shift, a clip at zero and the scale that undoes its upper bound into one HardSigmoid.

    clip(x + a; 0, b) / b  ->  hardsigmoid(x; 1/b, a/b)
    clip(x; 0, b) · c  ->  hardsigmoid(x; c, 0)        c = 1/b
    (y · clip(x + a; 0, b)) / b  ->  y · hardsigmoid(x; 1/b, a/b)

Exact in real arithmetic; floating point differs by reassociation only. With a = 3 and b = 6, and y = x in the
last form, this is how the hard sigmoid and the hard swish were written before they had operators: three
passes over the data become one, or four two. Source: Howard et al., Searching for MobileNetV3 (2019), 5.2.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Clip, Div, HardSigmoid, Mul, Op
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.scalars import beside_a_number, bounds_of
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedAndScaled:
    """``x`` plus ``shift``, the Clip of that, what it is multiplied with if anything, and the scale."""

    x: Value
    shift: float
    clipped: Value
    factor: Value | None
    product: Value | None
    scale: float
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseClipIntoHardSigmoid(Rewrite[ClippedAndScaled]):
    """Fuse a shift, a clip at zero and the scale that undoes its upper bound into one HardSigmoid."""

    name: ClassVar[str] = "fuse-clip-into-hard-sigmoid"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul, Div)
    makes: ClassVar[tuple[type[Op], ...]] = (HardSigmoid,)

    def find(self, graph: Graph, node: int) -> ClippedAndScaled | None:
        """A Clip, or a product with one, times a number; no runtime has a HardSigmoid of doubles."""
        scaled = _scaled(graph, node)
        if scaled is None or graph.type(scaled[0]).dtype not in (DataType.FLOAT, DataType.FLOAT16):
            return None
        value, scale = scaled
        product = value if isinstance(graph.producer(value), Mul) else None
        for clipped, factor in _clipped(graph, value):
            x, shift = _shifted(graph, clipped)
            return ClippedAndScaled(
                x=x,
                shift=shift,
                clipped=clipped,
                factor=factor,
                product=product,
                scale=scale,
                result=Value(node, 0),
            )
        return None

    @requirement
    def it_clips_at_zero(self, graph: Graph, m: ClippedAndScaled) -> bool:
        """The Clip's bounds are constant, the lower one zero, the upper one above."""
        bounds = bounds_of(graph, m.clipped.node)
        return bounds is not None and bounds[0] == 0 < bounds[1]

    @requirement
    def the_scale_undoes_the_upper_bound(self, graph: Graph, m: ClippedAndScaled) -> bool:
        """The scale is one over the upper bound, to the precision of the element type."""
        bounds = bounds_of(graph, m.clipped.node)
        precision = np.finfo(graph.type(m.x).dtype.numpy).eps
        return bounds is not None and bool(abs(m.scale * bounds[1] - 1) <= precision)

    @requirement
    def nothing_else_reads_the_steps(self, graph: Graph, m: ClippedAndScaled) -> bool:
        """Only this chain reads the Clip and the product, and the graph returns neither."""
        steps = (m.clipped, m.product)
        return all(graph.sole_reader(step) is not None for step in steps if step is not None)

    def apply(self, edit: Edit, m: ClippedAndScaled) -> None:
        """Put a HardSigmoid, and the product if there is one, in the place of all."""
        alpha, beta = (float(np.float32(number)) for number in (m.scale, m.shift * m.scale))
        op = HardSigmoid(alpha=alpha, beta=beta)
        if m.product is None:
            edit.replace(m.result, edit.add(op, m.x, like=m.result.node))
            return
        gate = edit.add(op, m.x, like=m.clipped.node)
        edit.replace(m.result, edit.add(Mul(), m.factor, gate, like=m.product.node))


def _scaled(graph: Graph, node: int) -> tuple[Value, float] | None:
    """The value that a node multiplies with a number, and the number."""
    found = beside_a_number(graph, node)
    if found is None:
        return None
    value, number, first = found
    if not isinstance(graph.op(node), Div):
        return value, number
    return None if first or number == 0 else (value, 1 / number)


def _clipped(graph: Graph, value: Value) -> list[tuple[Value, Value | None]]:
    """A Clip, and what the value is the product of it with: nothing when it is the Clip itself."""
    if isinstance(graph.producer(value), Clip):
        return [(value, None)]
    operands = graph.operands(value.node) if isinstance(graph.producer(value), Mul) else ()
    pairs = [*zip(operands, reversed(operands), strict=True)]
    return [(c, f) for c, f in pairs if c is not None and isinstance(graph.producer(c), Clip)]


def _shifted(graph: Graph, clipped: Value) -> tuple[Value, float]:
    """What is clipped, as a value plus a number."""
    data = graph.operand(clipped.node, 0)
    assert data is not None
    found = beside_a_number(graph, data.node) if isinstance(graph.producer(data), Add) else None
    if found is None or graph.sole_reader(data) is None:
        return data, 0.0
    return found[0], found[1]
