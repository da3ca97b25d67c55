"""Structural check of a graph: what must hold between any two rewrites."""

from convgraph.errors import InvalidModel
from convgraph.ir.graph import Graph
from convgraph.ir.ops.base import slots_of
from convgraph.ir.ops.constant import Input
from convgraph.ir.ops.opaque import Opaque


def check(graph: Graph) -> None:
    """Raise InvalidModel, naming the node, unless the graph is sound.

    Sound: acyclic; every required operand slot filled, by a result that exists, and no slot twice; the
    recorded types admitted by what the operations infer; inputs made by Input nodes; outputs that exist and
    have names; all that in the bodies of control flow too, with an operand for each value they capture.
    """
    for node in graph.nodes():
        _check_operands(graph, node)
        _check_types(graph, node)
        _check_bodies(graph, node)
    for value in (*graph.inputs, *graph.captures):
        if not isinstance(graph.producer(value), Input):
            raise InvalidModel(
                graph.value_name(value), found="a computed graph input", expected="an Input node"
            )
    for value in graph.outputs:
        if not graph.makes(value) or not graph.value_name(value):
            raise InvalidModel(
                str(value), found="an output nobody makes", expected="a named value of the graph"
            )


def _check_operands(graph: Graph, node: int) -> None:
    operands = graph.operands(node)
    given = [operand for operand in operands if operand is not None]
    if len(given) != graph.nx.in_degree(node):
        raise InvalidModel(
            graph.describe(node), found="two operands in one slot", expected="one operand a slot"
        )
    for operand in given:
        if not graph.makes(operand):
            raise InvalidModel(
                graph.describe(node), found=f"operand {operand}", expected="a result that exists"
            )
    op = graph.op(node)
    missing = [name for name, v in zip(slots_of(op).names, operands, strict=False) if v is None]
    required = slots_of(op).names[: slots_of(op).required]
    if not isinstance(op, Opaque) and (absent := [name for name in missing if name in required]):
        raise InvalidModel(graph.describe(node), found=f"no {absent[0]}", expected=f"operands {required}")


def _check_bodies(graph: Graph, node: int) -> None:
    op = graph.op(node)
    if not isinstance(op, Opaque) or not op.subgraphs:
        return
    count = sum(len(body.captures) for body in op.subgraphs.values())
    given = len(graph.operands(node)[op.arity :])
    if given != count:
        found = f"{given} captured operands"
        raise InvalidModel(graph.describe(node), found=found, expected=f"{count}, one for each capture")
    for body in op.subgraphs.values():
        check(body)


def _check_types(graph: Graph, node: int) -> None:
    types = tuple(None if v is None else graph.type(v) for v in graph.operands(node))
    try:
        inferred = graph.op(node).infer_all(types)
    except InvalidModel as error:
        raise InvalidModel(graph.describe(node), found=error.found, expected=error.expected) from error
    for value, found in zip(graph.results(node), inferred, strict=False):
        if not graph.type(value).admits(found):
            name = graph.value_name(value) or graph.describe(node)
            raise InvalidModel(name, found=f"recorded type {graph.type(value)}", expected=f"type {found}")
