"""Whether an operation computes the same each time."""

from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Dropout, Opaque

_RANDOM = frozenset(
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"]
)


def is_repeatable(graph: Graph, node: int) -> bool:
    """Whether a node is neither random nor in training mode, nor runs a body, in which anything may be."""
    op = graph.op(node)
    if isinstance(op, Opaque):
        return op.op_type not in _RANDOM and not op.subgraphs
    training = isinstance(op, BatchNormalization) and op.training_mode
    return not training and not (isinstance(op, Dropout) and graph.operand(node, 2) is not None)
