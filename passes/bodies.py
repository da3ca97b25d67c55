"""Bodies of control flow as graphs of their own, to be rewritten like any other.

For as long as a body is rewritten it stands on its own: it has the opset of the model, the names around it
are taken, and a captured value that is constant outside is known to be so inside. What it captures stays an
input: weights that no rewrite touches stay where they are, those that one folds become the body's own. The
bodies of local functions are left alone: nothing in them has a type before they are inlined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, ModelInfo, Value
from convgraph.ir.ops import Constant, Input, Op, Opaque

Bodies = Mapping[str, Graph]


def bodies_of(op: Op) -> Bodies:
    """The bodies that an operation runs, by attribute name."""
    return op.subgraphs if isinstance(op, Opaque) else {}


def look(graph: Graph, node: int) -> tuple[object, ...]:
    """A node's bodies and what they know of the graph around them: equal where none of that has changed."""
    return (graph.op(node), *map(graph.constant, graph.operands(node)))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBody:
    """One body taken out to be rewritten; ``captured``: what its captures stand for in the graph around."""

    name: str
    graph: Graph
    captured: dict[Value, Value]

    def captured_after(self) -> tuple[Value, ...]:
        """What it still captures, in order."""
        return tuple(self.captured[value] for value in self.graph.captures)


def opened(graph: Graph, node: int, name: str) -> OpenBody:
    """A body of a node, as a copy that can be rewritten and knows what is around it."""
    op = graph.op(node)
    assert isinstance(op, Opaque)
    operands = iter(graph.operands(node)[op.arity :])
    captured = {n: [(inside, next(operands)) for inside in b.captures] for n, b in op.subgraphs.items()}
    body = op.subgraphs[name].copy()
    for inside, outside in captured[name]:
        body.set_op(inside.node, Input(constant=graph.constant(outside)))
    body.header.model, body.around = graph.model, graph
    known = {inside: outside for inside, outside in captured[name] if outside is not None}
    return OpenBody(name=name, graph=body, captured=known)


def close(edit: Edit, node: int, rewritten: Sequence[OpenBody]) -> None:
    """Put bodies that were rewritten back into their node, which captures what they still read.

    A constant that nothing else reads goes when the last body lets go of it.
    """
    graph = edit.graph
    captured: list[Value] = []
    for body in rewritten:
        _settle(body.graph)
        captured += body.captured_after()
    let_go = {value for value in graph.operands(node) if value is not None}
    edit.set_bodies(node, {body.name: body.graph for body in rewritten}, captured=captured)
    for value in sorted(let_go):
        if isinstance(graph.producer(value), Constant) and graph.is_unread(value.node):
            edit.erase(value.node)


def _settle(body: Graph) -> None:
    """Forget what only holds as long as the body is open, and captures that nothing reads any more."""
    around = body.around
    assert around is not None
    if body.model is not around.model:
        around.header.model = around.model.joined(body.model)  # a rewrite asked for it
    around.reserve(body.names())
    body.header.model, body.around = ModelInfo(), None
    read = {value for value in body.captures if body.is_output(value) or not body.is_unread(value.node)}
    for value in body.captures:
        if value in read:
            body.set_op(value.node, Input())
        else:
            body.remove(value.node)
    body.captures = tuple(value for value in body.captures if value in read)
