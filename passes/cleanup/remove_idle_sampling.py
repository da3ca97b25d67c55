"""Remove what samples, pools, repeats or splits a value and leaves each element where it was.

    resize(x; scales 1 1 1 …) = resize(x; sizes of x) -> x        tile(x; 1 1 1 …) = split(x; 1 piece) -> x
    maxpool(x; 1 pixel) = averagepool(x; 1 pixel) -> x        globalpool(x) = reduce(x) -> x        of 1 pixel

A mean, sum, product, maximum or minimum of one element is that element. Exact: at scale 1 every way to sample
takes the elements themselves.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    AveragePool,
    GlobalPool,
    MaxPool,
    Op,
    Opaque,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    Reduction,
    Resize,
    Split,
)
from convgraph.passes.cleanup.handed_on import HandedOn, PassedOn

_OF_ONE = (ReduceMax, ReduceMean, ReduceMin, ReduceProd, ReduceSum)


@dataclass(frozen=True, kw_only=True)
class RemoveIdleSampling(HandedOn):
    """Remove what samples, pools, repeats or splits a value and leaves each element where it was."""

    name: ClassVar[str] = "remove-idle-sampling"
    roots: ClassVar[tuple[type[Op], ...]] = (
        Resize,
        Split,
        MaxPool,
        AveragePool,
        GlobalPool,
        Opaque,
        *_OF_ONE,
    )

    def find(self, graph: Graph, node: int) -> PassedOn | None:
        """An operation whose first result has the elements of its first operand, in their places."""
        source = graph.operand(node, 0)
        if source is None or not _keeps_all(graph, node, source):
            return None
        return PassedOn(source=source, result=Value(node, 0))


def _keeps_all(graph: Graph, node: int, source: Value) -> bool:
    op = graph.op(node)
    if isinstance(op, Resize):
        return op.coordinate_transformation_mode != "tf_crop_and_resize" and _keeps_sizes(graph, node)
    if isinstance(op, (MaxPool, AveragePool)):
        still = {*op.kernel_shape, *op.strides} == {1} and not any(op.pads)
        return still and not any(graph.readers(v) or graph.is_output(v) for v in graph.results(node)[1:])
    if isinstance(op, Split):
        return len(graph.results(node)) == 1 and op.num_outputs in (None, 1)
    if isinstance(op, Opaque):
        return (op.domain, op.op_type) == ("", "Tile") and _is_all_ones(graph, graph.operand(node, 1))
    return _is_of_one(graph, node, source)


def _keeps_sizes(graph: Graph, node: int) -> bool:
    """Whether a Resize has scales that are 1, or constant sizes that are those of its operand."""
    x, _, scales, sizes = (graph.operand(node, slot) for slot in range(4))
    tensor = graph.constant(sizes)
    if tensor is None or tensor.size == 0 or x is None:
        return _is_all_ones(graph, scales)
    return graph.type(x).static_shape == graph.type(Value(node, 0)).static_shape is not None


def _is_all_ones(graph: Graph, value: Value | None) -> bool:
    tensor = graph.constant(value)
    return tensor is not None and tensor.size > 0 and bool((tensor.numpy() == 1).all())


def _is_of_one(graph: Graph, node: int, source: Value) -> bool:
    """Whether a global pool or reduction that keeps its axes has one element along each."""
    op, kind = graph.op(node), graph.type(source)
    shape = kind.shape
    if shape is None or not isinstance(op, Reduction):
        return shape is not None and set(shape[2:]) == {1}
    named = graph.operand(node, 1)
    if not op.keepdims or (named is not None and graph.constant(named) is None):
        return False
    axes = op.reduced_axes(kind, None if named is None else graph.type(named))
    return axes is not None and all(shape[axis] == 1 for axis in axes)
