"""Which value of one graph is which of another: by name, else by how both are made.

Models that went through another tool may have other names throughout. The inputs of the two have the same
names, and from there on results correspond where one operation of each graph alone does the same to what
corresponds.
"""

from collections.abc import Iterator, Mapping

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant


def corresponding(before: Graph, after: Graph) -> dict[Value, Value]:
    """The values of ``after`` for those of ``before`` that have one there, constants aside.

    The same name stands for the same value where the types allow it, and always for the same output.
    """
    pairs = dict(_namesakes(before, after))
    taken = set(pairs.values())
    for node in before.compute_nodes():
        partner = None if before.results(node)[0] in pairs else _partner(before, node, after, pairs, taken)
        if partner is not None:
            made = dict(zip(before.results(node), after.results(partner), strict=False))
            pairs = made | pairs
            taken.update(made.values())
    return pairs


def _namesakes(before: Graph, after: Graph) -> Iterator[tuple[Value, Value]]:
    others = {after.value_name(value): value for value in _values(after)}
    for value in _values(before):
        other = others.get(before.value_name(value)) if before.value_name(value) else None
        if other is None:
            continue
        returned = before.is_output(value) and after.is_output(other)
        if returned or before.type(value).admits(after.type(other)):
            yield value, other


def _values(graph: Graph) -> Iterator[Value]:
    return (v for n in graph.nodes() if not isinstance(graph.op(n), Constant) for v in graph.results(n))


def _partner(
    before: Graph, node: int, after: Graph, pairs: Mapping[Value, Value], taken: set[Value]
) -> int | None:
    """The one node of ``after`` that does to the same values what ``node`` alone does in its graph."""
    operands = _computed(before, node)
    if not operands or any(value not in pairs for value in operands.values()):
        return None
    label, others = before.op(node).label, {slot: pairs[value] for slot, value in operands.items()}
    here = [n for n in _alike(before, label, operands) if before.results(n)[0] not in pairs]
    there = [n for n in _alike(after, label, others) if after.results(n)[0] not in taken]
    if len(here) == len(there) == 1:
        return there[0]
    here = [n for n in here if _said(before, n) == _said(before, node)]
    there = [n for n in there if _said(after, n) == _said(before, node)]
    return there[0] if len(here) == len(there) == 1 else None


def _computed(graph: Graph, node: int) -> dict[int, Value]:
    """The operands of a node by slot, without constants."""
    operands = enumerate(graph.operands(node))
    return {slot: value for slot, value in operands if value is not None and graph.constant(value) is None}


def _alike(graph: Graph, label: str, operands: Mapping[int, Value]) -> list[int]:
    """The nodes with an operation that read these operands, constants aside."""
    readers = dict.fromkeys(use.node for use in graph.readers(next(iter(operands.values()))))
    return [n for n in readers if graph.op(n).label == label and _computed(graph, n) == operands]


def _said(graph: Graph, node: int) -> tuple[object, ...]:
    """What else tells two nodes with the same operation and operands apart: attributes and constants."""
    tensors = (graph.constant(value) for value in graph.operands(node))
    return graph.op(node), *(None if tensor is None else tensor.digest() for tensor in tensors)
