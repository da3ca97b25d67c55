"""Which operations to do in the other order of the axes, so that fewest Transposes remain: a minimum cut.

Every operation that does not care about the order stands on one of two sides: here it works on values as they
are, there on values in the other order. A value that is made on one side and read on the other takes one
Transpose, however many read it. Transposes out of the other order stand there, so do those back into it;
everything else that makes or reads a value stands here. Among as many Transposes those of fewer elements are
preferred. Of all minimum cuts the one is taken that leaves the
fewest operations there: it is unique (Ford and Fulkerson, Flows in Networks, 1962, I.5).
"""

from collections import deque
from collections.abc import Iterator, Mapping
from math import prod

import networkx as nx
from networkx.algorithms.flow import edmonds_karp

from convgraph.ir.graph import Graph, Value
from convgraph.passes.fusion.reordered_axes import Form, Perm, form_of, inverse, order_of

_MOST = 256  # operations: what is further from a Transpose seldom matters to it
_ONE = 1 << 60  # what a Transpose weighs beside its elements
_ASSUMED = 64  # elements along an axis of open size
_HERE, _THERE = "here", "there"
_Side = int | str  # an operation that may stand on either is called by its node


def transposed_elements(graph: Graph, value: Value) -> int:
    """How many elements a Transpose of a value moves, axes of open sizes taken to be of some."""
    return prod(size if isinstance(size, int) else _ASSUMED for size in graph.type(value).shape or ())


class Surroundings:
    """The operations around a value that may work in the other order, and the values that they exchange.

    ``perm`` says how a value comes from one in the other order.
    """

    def __init__(self, graph: Graph, perm: Perm, *, around: Value) -> None:
        self._graph = graph
        self._perm = perm
        self._back = inverse(perm)
        self.forms: dict[int, Form] = {}
        self._values: dict[Value, None] = {around: None}
        self._grow()

    def best(self) -> tuple[frozenset[int], int]:
        """The operations to do in the other order, and what they weigh: the Transposes that this saves."""
        sides = {value: (self._maker(value), self._readers(value)) for value in self._values}
        entries = [value.node for value, (maker, _) in sides.items() if maker == _THERE]
        if any(self._graph.operand(node, 0) in sides for node in entries):
            return frozenset(), 0  # a Transpose that would stand on both sides
        weights = {value: _ONE + transposed_elements(self._graph, value) for value in sides}
        now = sum(weights[value] for value, between in sides.items() if _takes_one(*between))
        if not any(_HERE in (maker, *readers) for maker, readers in sides.values()):
            return frozenset(self.forms), now
        if now <= min(weights.values()):
            return frozenset(), 0  # every cut parts the two sides of a value at least
        network = nx.DiGraph(list(_arcs(sides, weights)))
        cut, (_, there) = nx.minimum_cut(network, _HERE, _THERE, flow_func=edmonds_karp)
        return frozenset(self.forms.keys() & there), now - int(cut)

    def _grow(self) -> None:
        queue = deque(self._values)
        while queue and len(self.forms) < _MOST:
            for node, form in self._beside(queue.popleft()):
                self.forms[node] = form
                carried = (self._graph.operand(node, slot) for slot in form.slots)
                made = () if form.is_end else self._graph.results(node)
                found = [v for v in (*carried, *made) if v is not None and self._graph.constant(v) is None]
                queue.extend(value for value in found if value not in self._values)
                self._values.update(dict.fromkeys(found))

    def _beside(self, value: Value) -> Iterator[tuple[int, Form]]:
        """The operations that make and read a value and may work in the other order, as they then are."""
        form = None if value.node in self.forms else form_of(self._graph, value.node, self._perm)
        if form is not None and not form.is_end:
            yield value.node, form
        for use in self._graph.readers(value):
            if use.node in self.forms or order_of(self._graph, Value(use.node, 0)) == self._back:
                continue
            form = form_of(self._graph, use.node, self._perm)
            if form is not None and use.slot in form.slots:
                yield use.node, form

    def _maker(self, value: Value) -> _Side:
        if order_of(self._graph, value) == self._perm:
            return _THERE
        form = self.forms.get(value.node)
        return _HERE if form is None or form.is_end else value.node

    def _readers(self, value: Value) -> set[_Side]:
        found: set[_Side] = {_HERE} if self._graph.is_output(value) else set()
        for node, slot in self._graph.readers(value):
            form = self.forms.get(node)
            may_change = form is not None and slot in form.slots
            goes_back = order_of(self._graph, Value(node, 0)) == self._back
            found.add(_THERE if goes_back else node if may_change else _HERE)
        return found


def _takes_one(maker: _Side, readers: set[_Side]) -> bool:
    """Whether a value takes a Transpose as things are, with all that may stand on either side here."""
    return bool(readers - {_THERE}) if maker == _THERE else _THERE in readers


def _arcs(
    sides: Mapping[Value, tuple[_Side, set[_Side]]], weights: Mapping[Value, int]
) -> Iterator[tuple[object, object, dict[str, int]]]:
    """The network whose cuts are the ways to choose, and their capacities what the Transposes weigh."""
    for value, (maker, readers) in sides.items():
        yield (_HERE, value), maker, {"capacity": weights[value]}
        yield maker, (_THERE, value), {"capacity": weights[value]}
        for reader in readers:
            yield reader, (_HERE, value), {}  # without a capacity: never cut
            yield (_THERE, value), reader, {}
