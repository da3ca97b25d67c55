"""Networks on sequences: convolutions along L, what comes of them, and which of that belongs together."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import networkx as nx

from convgraph.analysis.cost import node_cost
from convgraph.analysis.infer import assumed_sizes
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, Convolution
from convgraph.passes.layout.single_row import OnRows, carried, on_rows

_BLOCK = 16  # channels side by side
_SET = 4  # blocks of filters that a thread computes together


class Share(NamedTuple):
    """The multiplications of a convolution, and in how many parts threads share them on rows."""

    macs: int
    parts: int


def shares(graph: Graph, nodes: Iterable[int]) -> tuple[Share, ...]:
    """Those of the Convs among some nodes."""
    sizes = assumed_sizes(graph)
    convs = (node for node in nodes if isinstance(graph.op(node), Conv))
    return tuple(Share(node_cost(graph, n, sizes=sizes).macs, _parts(graph, n)) for n in convs)


def slowed(found: Sequence[Share], *, threads: int) -> float:
    """How many times as long rows take as all work in equal parts would, on several threads.

    onnxruntime parts images by samples, groups, sets of filters and rows, of which there is one here.
    """
    fair = sum(share.macs for share in found)
    taken = sum(share.macs * threads * -(-share.parts // threads) / share.parts for share in found)
    return taken / fair if fair else 1.0


def _parts(graph: Graph, node: int) -> int:
    """In how many parts threads share a convolution on rows; sizes that are not known count one."""
    op, result = graph.op(node), graph.type(Value(node, 0))
    assert isinstance(op, Conv)
    batch, filters = (size if isinstance(size, int) else 1 for size in (result.dim(0), result.dim(1)))
    if op.group == filters:
        return max(1, batch * -(-filters // _BLOCK))
    return max(1, batch * op.group * -(-filters // (op.group * _SET * _BLOCK)))


def network(graph: Graph, node: int) -> dict[int, OnRows] | None:
    """All that belongs to a convolution, each after what it reads; None where another one comes first."""
    forms = dict[int, OnRows]()
    for near, form in _connected(graph, node):
        if isinstance(graph.op(near), Conv) and _place(graph, near) < _place(graph, node):
            return None
        forms[near] = form
    inside: nx.MultiDiGraph[int] = graph.nx.subgraph(forms)
    return {near: forms[near] for near in nx.lexicographical_topological_sort(inside)}


def first_convolution(graph: Graph, node: int) -> int:
    """The convolution that comes first of all that belong to this one."""
    found = (near for near, _ in _connected(graph, node) if isinstance(graph.op(near), Conv))
    return min(found, key=lambda near: _place(graph, near), default=node)


def _connected(graph: Graph, node: int) -> Iterator[tuple[int, OnRows]]:
    """The operations that exchange what comes of convolutions, this one first."""
    seen, waiting, barren = {node}, deque([node]), set[int]()
    while waiting:
        here = waiting.popleft()
        form = on_rows(graph, here)
        if form is None:
            continue
        yield here, form
        near = [maker for maker in _makers(graph, here, form) if _comes_of_one(graph, maker, barren)]
        near += _readers(graph, graph.results(here))
        waiting.extend(one for one in dict.fromkeys(near) if one not in seen)
        seen.update(near)


def _makers(graph: Graph, node: int, form: OnRows) -> list[int]:
    return [value.node for value in carried(graph, node, form)]


def _readers(graph: Graph, values: Iterable[Value]) -> list[int]:
    """What reads these values and puts them on rows."""
    uses = [use for value in values for use in graph.readers(value)]
    forms: dict[int, Any] = {use.node: on_rows(graph, use.node) for use in uses}
    return [use.node for use in uses if forms[use.node] and use.slot in forms[use.node].slots]


def _comes_of_one(graph: Graph, node: int, barren: set[int]) -> bool:
    """Whether a convolution is among the operations that lead here; ``barren`` notes those without."""
    seen, waiting = {node}, [node]
    while waiting:
        here = waiting.pop()
        form = None if here in barren else on_rows(graph, here)
        if form is None:
            continue
        if isinstance(graph.op(here), Convolution):
            return True
        fresh = [maker for maker in _makers(graph, here, form) if maker not in seen]
        waiting.extend(fresh)
        seen.update(fresh)
    barren.update(seen)
    return False


def _place(graph: Graph, node: int) -> tuple[tuple[int, ...], int]:
    return graph.info(node).order, node
