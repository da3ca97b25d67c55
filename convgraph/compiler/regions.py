"""The part of a graph that one application of a rewrite is about, as a graph of its own.

It is found by rehearsal: the rewrite is carried out on a neighbourhood of the node it starts at, which is
told what is erased and rewired. Those nodes are the region, with as many of their neighbours as the rewrite
has to see to be found, and to be right, there too.
"""

from collections.abc import Iterable, Iterator

from convgraph.errors import ConvgraphError
from convgraph.exporters.onnx_model import tensor_bytes
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import Constant, Input
from convgraph.ir.tensor import DataType
from convgraph.passes.rewrite import PRICE
from convgraph.passes.trace import AnyRewrite, Occasion

_REACHES = (2, 4, 8)  # edges around a node; what a rewrite of this house takes in is within four
_MOST = 300  # nodes of a neighbourhood
_RINGS = 3  # of neighbours that a rewrite may look at beyond what it replaces
_LARGEST = 64 << 20  # bytes of constants
_FURTHER = "the rewrite looks further than a neighbourhood"
_NOT_THERE = (
    ConvgraphError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a rewrite raises that asks a graph for nodes it does not have."""


class _Watched(Edit):
    """An edit that remembers which nodes it rewired and which it erased."""

    def __init__(self, graph: Graph) -> None:
        self.changed: set[int] = set()
        super().__init__(graph, on_erase=self.changed.add)

    def rewire(self, use: Use, value: Value | None) -> None:
        """Make one operand slot read ``value``, or nothing."""
        self.changed.add(use.node)
        super().rewire(use, value)


class NoRegion(Exception):
    """An application whose region cannot be told or is too large; the message says which."""


def region_of(occasion: Occasion) -> Graph:
    """The nodes that an application replaces or rewires, and what it looks at, with their identity.

    Raises NoRegion.
    """
    graph, rewrite, node = occasion.graph, occasion.rewrite, occasion.node
    nodes = _computing(graph, _changed(occasion) | {node})
    for _ in range(_RINGS):
        nodes |= _integers_above(graph, nodes)
        region = graph.region(nodes)
        if node in region and holds(rewrite, region, node):
            return region
        nodes |= _computing(graph, _neighbours(graph, nodes))
    raise NoRegion(_FURTHER)


def holds(rewrite: AnyRewrite, graph: Graph, node: int) -> bool:
    """Whether the rewrite is found at a node and every requirement of it holds."""
    try:
        match = rewrite.find(graph, node)
        return match is not None and rewrite.refusal(graph, match, at="", but=PRICE) is None
    except _NOT_THERE:
        return False


def rewritten(rewrite: AnyRewrite, graph: Graph, node: int) -> Graph | None:
    """A copy of a graph with the rewrite applied at a node; None where it does not apply."""
    try:
        match = rewrite.find(graph, node)
        if match is None or rewrite.refusal(graph, match, at="", but=PRICE) is not None:
            return None
        result = graph.copy()
        edit = Edit(result, near=node)
        rewrite.apply(edit, match)
        edit.sweep()
    except _NOT_THERE:
        return None
    return result


def _changed(occasion: Occasion) -> set[int]:
    """The nodes of the graph that the application erases or rewires. Raises NoRegion."""
    for reach in _REACHES:
        context = occasion.graph.region(_within(occasion.graph, occasion.node, reach=reach))
        if tensor_bytes(context) > _LARGEST:
            raise NoRegion("the constants are too large")
        edit = _Watched(context)
        try:
            occasion.rewrite.apply(edit, occasion.match)
            edit.sweep()
        except _NOT_THERE:
            continue
        return {node for node in edit.changed if node in occasion.graph}
    raise NoRegion(_FURTHER)


def _within(graph: Graph, node: int, *, reach: int) -> set[int]:
    """The computing nodes at most ``reach`` edges away."""
    near = {node}
    for _ in range(reach):
        further = {n for n in _neighbours(graph, near) if not isinstance(graph.op(n), Constant)}
        if len(near | further) > _MOST:
            break
        near |= further
    return _computing(graph, near)


def _neighbours(graph: Graph, nodes: Iterable[int]) -> set[int]:
    """Producers and readers of the nodes."""
    return {other for node in nodes for ends in (graph.nx.pred, graph.nx.succ) for other in ends[node]}


def _computing(graph: Graph, nodes: Iterable[int]) -> set[int]:
    return {node for node in nodes if not isinstance(graph.op(node), (Constant, Input))}


def _integers_above(graph: Graph, nodes: Iterable[int]) -> set[int]:
    """What computes the whole numbers that the nodes read: sizes, indices, which no feed could make up."""
    found: set[int] = set()
    stack = list(nodes)
    while stack and len(found) < _MOST:
        for value in _whole(graph, stack.pop()):
            if value.node not in found:
                found.add(value.node)
                stack.append(value.node)
    return found


def _whole(graph: Graph, node: int) -> Iterator[Value]:
    for value in graph.operands(node):
        if value is None or isinstance(graph.producer(value), (Constant, Input)):
            continue
        if graph.type(value).dtype in (DataType.INT64, DataType.INT32):
            yield value
