"""What would go with a value if nothing read it any more."""

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant


def made_only_for(graph: Graph, result: Value, *, of: Value) -> set[int]:
    """The node that makes ``result`` of ``of``, and those there for nothing else, constants aside."""
    gone, waiting = {result.node}, [result.node]
    while waiting:
        for operand in graph.operands(waiting.pop()):
            if operand is None or operand == of or isinstance(graph.producer(operand), Constant):
                continue
            elsewhere = {use.node for use in graph.readers(operand)} - gone
            if not elsewhere and not graph.is_output(operand) and operand.node not in gone:
                gone.add(operand.node)
                waiting.append(operand.node)
    return gone
