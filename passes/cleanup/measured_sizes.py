"""Numbers that a model computes from the shapes of its values, as far as types tell what they are."""

from convgraph.analysis.elements import asked_sizes
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Cast, Gather, Opaque, Reshape, Slice, Squeeze, Unsqueeze
from convgraph.ir.ops.layout import python_slice
from convgraph.ir.tensor import Dim

Sizes = tuple[Dim, ...]

_LONGEST = 32  # operations passed; from each node of a chain of thousands, all those before it would be


def measured_sizes(graph: Graph, value: Value) -> Sizes | None:
    """The sizes, numbers or not, that a value picks out of a shape; None when it does not come from one."""
    chain: list[int] = []
    while isinstance(graph.producer(value), (Gather, Slice, Unsqueeze, Squeeze, Reshape, Cast)):
        source = graph.operand(value.node, 0)
        if source is None or len(chain) == _LONGEST:
            return None
        chain.append(value.node)
        value = source
    sizes = _asked(graph, value.node)
    for node in reversed(chain):
        if sizes is None or not isinstance(graph.op(node), (Gather, Slice)):
            continue
        places = _places(graph, node, len(sizes))
        sizes = None if places is None else tuple(sizes[place] for place in places)
    return sizes


def _asked(graph: Graph, node: int) -> Sizes | None:
    """What a Shape tells."""
    op, x = graph.op(node), graph.operand(node, 0)
    if x is None or not isinstance(op, Opaque) or (op.domain, op.op_type) != ("", "Shape"):
        return None
    return asked_sizes(op, graph.type(x))


def _places(graph: Graph, node: int, count: int) -> list[int] | None:
    """Which of ``count`` elements of a vector are taken; None when that is not known."""
    op, (data, *numbers) = graph.op(node), graph.operands(node)
    constants = [graph.constant(value) for value in numbers if value is not None]
    if None in constants or data is None:
        return None
    if isinstance(op, Slice):
        starts, ends, *rest = (None if value is None else graph.type(value) for value in numbers)
        assert starts is not None
        assert ends is not None
        cuts = op.cuts(graph.type(data), starts, ends, *rest)
        return None if cuts is None else list(range(count)[python_slice(cuts[0], count)])
    places = constants[0].numpy().reshape(-1).tolist() if constants[0] is not None else []
    return places if all(-count <= place < count for place in places) else None
