"""What a runtime computes once for all when it loads a model: all that follows from constants alone.

Such values are constants of every run, so that computing them costs nothing in any: a model may store a
kernel in the form that takes least room, and leave it to the runtime to make of it what it multiplies with.
"""

from collections.abc import Iterable

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Convolution, Input, Op, Opaque

_SIZES = ("Shape", "Size")
_MOST = 8  # operations that a weight is computed by
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike")


def computed_at_load(graph: Graph, nodes: Iterable[int] | None = None) -> frozenset[int]:
    """Those nodes, of all or of these in topological order, whose results follow from constants alone.

    Or from sizes that are known.
    """
    found: set[int] = set()
    for node in graph.compute_nodes() if nodes is None else nodes:
        if _follows(graph, node, found):
            found.add(node)
    return frozenset(found)


def weights_made_at_load(graph: Graph, nodes: Iterable[int]) -> set[int]:
    """The nodes that compute, from constants alone, what convolutions among these have as weights."""
    convolutions = [node for node in nodes if isinstance(graph.op(node), Convolution)]
    weights = (value for node in convolutions for value in graph.operands(node)[1:] if value is not None)
    return {node for value in weights for node in _made_of_constants(graph, value)}


def _made_of_constants(graph: Graph, value: Value) -> set[int]:
    """The nodes that a value follows from; none where one of them reads an input, or they are many."""
    waiting, found = [value.node], set[int]()
    while waiting:
        node = waiting.pop()
        op = graph.op(node)
        if isinstance(op, Constant) or node in found:
            continue
        if isinstance(op, Input) or _is_random(op) or len(found) == _MOST:
            return set()
        found.add(node)
        waiting.extend(operand.node for operand in graph.operands(node) if operand is not None)
    return found


def _follows(graph: Graph, node: int, loaded: set[int]) -> bool:
    """Whether a node's results are the same in every run, ``loaded`` being the nodes before it that are."""
    op, values = graph.op(node), [value for value in graph.operands(node) if value is not None]
    if isinstance(op, Opaque) and op.op_type in _SIZES:
        return graph.type(values[0]).static_shape is not None
    return bool(values) and not _is_random(op) and all(_is_fixed(graph, v, loaded) for v in values)


def _is_fixed(graph: Graph, value: Value, loaded: set[int]) -> bool:
    return value.node in loaded or graph.constant(value) is not None


def _is_random(op: Op) -> bool:
    """Whether an operation may give another result each time, or runs what is not ONNX's."""
    return isinstance(op, Opaque) and (bool(op.domain) or bool(op.subgraphs) or op.op_type in _RANDOM)
