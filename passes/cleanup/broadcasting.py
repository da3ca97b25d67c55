"""What reads a value that is broadcast before it has to be: whether the same comes out without."""

from convgraph.errors import InvalidModel
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Binary, Variadic, Where
from convgraph.ir.tensor import Dim, Shape, broadcast
from convgraph.passes.cleanup.measured_sizes import measured_sizes

_BROADCASTING = (Binary, Variadic, Where)


def all_readers_broadcast(graph: Graph, value: Value) -> bool:
    """Whether pointwise operations of several operands read a value, and the graph does not return it."""
    readers = (graph.op(use.node) for use in graph.readers(value))
    return not graph.is_output(value) and all(isinstance(op, _BROADCASTING) for op in readers)


def asked_shape(graph: Graph, target: Value | None) -> Shape:
    """The shape that the elements of a value ask for; None where not even their number is known."""
    sizes = None if target is None else measured_sizes(graph, target)
    return None if sizes is None else tuple(map(_dim, sizes))


def joint(*shapes: Shape) -> Shape:
    """What shapes broadcast to; None where that is not known, or they do not."""
    try:
        return broadcast(*shapes)
    except InvalidModel:
        return None


def is_as_large_with(graph: Graph, value: Value, *, shape: Shape, instead: Shape) -> bool:
    """Whether all that reads a value of a shape gives as large results with one of another shape instead."""
    return all(
        _is_as_large(graph, node, value, shape=shape, instead=instead)
        for node in {use.node for use in graph.readers(value)}
    )


def _is_as_large(graph: Graph, node: int, value: Value, *, shape: Shape, instead: Shape) -> bool:
    others = [graph.type(v).shape for v in graph.operands(node) if v is not None and v != value]
    found = joint(*others, instead)
    if found is None or None in found:
        return False
    return found in (graph.type(Value(node, 0)).shape, joint(*others, shape))


def _dim(size: float | str | None) -> Dim:
    return None if isinstance(size, float) else size
