"""Work on the axes in the order in which they come, where that takes fewer Transposes.

    transpose(f(transpose(x; p)); p⁻¹)  ->  f(x)        f(transpose(x; p), y)  ->  f'(x, transpose(y; p⁻¹))

for any network f of pointwise operations, Concat, Split, Slice, Pad, Gather, Softmax and reductions, whose
axes and constants follow. Channels-last exports are full of Transposes. Which of the operations change is a
minimum cut (``fewest_transposes``). Exact: elements move; a reduction may add them up in another order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Transpose
from convgraph.passes.fusion.fewest_transposes import Surroundings, transposed_elements
from convgraph.passes.fusion.reordered_axes import (
    Form,
    Perm,
    inverse,
    order_of,
    reordered,
    turned_back,
)
from convgraph.passes.rewrite import Measure, Rewrite, op_count, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorderable:
    """Operations and what they are on values in the other order, from which ``perm`` leads to this one.

    Each stands after those that it reads. ``saved`` is what the Transposes weigh that go.
    """

    perm: Perm
    forms: tuple[tuple[int, Form], ...]
    saved: int


def work_to_transpose(graph: Graph) -> tuple[int, int]:
    """Measure: how many operations there are, then how many elements the Transposes among them move."""
    turns = (node for node in graph.compute_nodes() if isinstance(graph.op(node), Transpose))
    return op_count(graph), sum(transposed_elements(graph, Value(node, 0)) for node in turns)


@dataclass(frozen=True, kw_only=True)
class RemoveTransposesAround(Rewrite[Reorderable]):
    """Work on the axes in the order in which they come, where that takes fewer Transposes."""

    name: ClassVar[str] = "remove-transposes-around"
    roots: ClassVar[tuple[type[Op], ...]] = (Transpose,)
    measure: ClassVar[Measure] = staticmethod(work_to_transpose)

    def find(self, graph: Graph, node: int) -> Reorderable | None:
        """A Transpose beside an operation that can do without: at best, if there are several ways."""
        found = list(_ways(graph, node))
        return max(found, key=lambda way: way.saved, default=None)

    @requirement
    def fewer_transposes_remain(self, graph: Graph, m: Reorderable) -> bool:
        """Fewer Transposes are left, those that others then need included, or as many of fewer elements."""
        del graph
        return m.saved > 0

    def apply(self, edit: Edit, m: Reorderable) -> None:
        """Do them in the other order, and put the results in this one for whoever needs them so."""
        graph, there = edit.graph, dict[Value, Value]()
        for node, form in m.forms:
            results = reordered(edit, node, form, perm=m.perm, there=there)
            if form.is_end:
                edit.replace(Value(node, 0), results[0])
            else:
                there.update(zip(graph.results(node), results, strict=True))
        changed = {node for node, _ in m.forms}
        made = [value for node, form in m.forms if not form.is_end for value in graph.results(node)]
        for value in made:
            _hand_on(edit, value, there[value], perm=m.perm, changed=changed)
        for node, _ in reversed(m.forms):
            if graph.is_unread(node):  # the others go with the Transposes that still read them
                edit.erase(node)


def _ways(graph: Graph, node: int) -> Iterator[Reorderable]:
    """What could be done on either side of a Transpose, if anything."""
    perm, x = order_of(graph, Value(node, 0)), graph.operand(node, 0)
    if perm is None or x is None:
        return
    for order, value in ((perm, Value(node, 0)), (inverse(perm), x)):
        around = Surroundings(graph, order, around=value)
        if around.forms:
            chosen, saved = around.best()
            nodes = nx.lexicographical_topological_sort(graph.nx.subgraph(chosen))
            yield Reorderable(perm=order, forms=tuple((n, around.forms[n]) for n in nodes), saved=saved)


def _hand_on(edit: Edit, value: Value, there: Value, *, perm: Perm, changed: set[int]) -> None:
    """Give the readers of a value that is made in the other order now what they read."""
    graph = edit.graph
    for result in list(turned_back(graph, value, perm)):
        edit.replace(result, there)
    kept = any(
        use.node not in changed and order_of(graph, Value(use.node, 0)) != inverse(perm)
        for use in graph.readers(value)
    )
    if kept or graph.is_output(value):
        edit.replace(value, edit.add(Transpose(perm=perm), there))
