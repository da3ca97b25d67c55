"""A graph in the place of one node, under its name and the names of its results."""

from dataclasses import replace

from convgraph.ir.graph import Graph, NodeInfo, Value, ValueInfo
from convgraph.ir.ops import Constant, Input


def spliced(graph: Graph, node: int, part: Graph) -> None:
    """Have a graph stand where a node did.

    Its inputs and constants called ``operand_0`` and so on are the node's operands, its outputs the results.
    """
    info = graph.info(node)
    names = (graph.value_name(result) for result in graph.results(node))
    stem = next((name for name in names if name), "value")
    operands = {f"operand_{slot}": value for slot, value in enumerate(graph.operands(node))}
    values: dict[Value, Value] = {}
    own = _main_node(part, graph.op(node).label)
    for inner in part.nodes():
        op, made = part.op(inner), part.results(inner)
        known = operands.get(part.value_name(made[0])) if isinstance(op, (Constant, Input)) else None
        if known is not None:
            values[made[0]] = known
            continue
        label = op.label.lower()
        infos = [_renamed(part.value_info(v), name=graph.fresh_name(f"{stem}_{label}")) for v in made]
        read = [None if value is None else values[value] for value in part.operands(inner)]
        place = info if inner == own else NodeInfo(order=info.order)
        values.update(zip(made, graph.insert(op, read, results=infos, info=place), strict=True))
    for old, output in zip(graph.results(node), part.outputs, strict=True):
        _move(graph, old, values[output])
    graph.remove(node)


def _renamed(info: ValueInfo, *, name: str) -> ValueInfo:
    return ValueInfo(name=name if info.name else "", type=info.type, foreign=info.foreign)


def _main_node(part: Graph, label: str) -> int:
    """The node that is the same operator, else the one that makes the first output."""
    alike = (node for node in part.nodes() if part.op(node).label == label)
    return next(alike, part.outputs[0].node)


def _move(graph: Graph, old: Value, new: Value) -> None:
    """Have everything read one value instead of another, under its name."""
    for use in graph.readers(old):
        graph.connect(use, new)
    if graph.is_output(old):
        graph.outputs = tuple(new if output == old else output for output in graph.outputs)
    info = graph.value_info(old)
    graph.set_value_info(old, replace(info, name=""))
    graph.set_value_info(new, info)
