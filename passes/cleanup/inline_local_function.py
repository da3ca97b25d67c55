"""Put the body of one of the model's own functions in the place of a call of it.

    f(x; a) -> body of f, reading x where it reads its inputs, with a where it refers to its attributes

Exact: that is what a call means (ONNX, model local functions). Exporters write a module of a network as a
function, where nothing in it meets what surrounds it. A function that no call is left of is not written.
Bodies are read by ``bodies``, when one is handed in. A call that would run more than ``size_limit`` bytes of
nodes stays, unless it is the only one: thirty functions of two calls each stand for a thousand million nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Protocol

from convgraph.analysis.functions import LocalFunction, calls_in, function_of, local_functions
from convgraph.errors import ConvgraphError
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Op, Opaque
from convgraph.passes.rewrite import Measure, Rewrite, requirement


class BodyReader(Protocol):
    """Who can read what a call of a function runs."""

    def body(self, graph: Graph, node: int) -> Graph:
        """The body, its inputs called as the function's. Raises ConvgraphError where it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A node that calls a function of the model's own."""

    node: int
    function: LocalFunction


def calls_to_make(graph: Graph) -> float:
    """Measure: how many calls of functions are made in all, by functions that are called included."""
    functions = local_functions(graph.model.carried)
    called = (functions[name].calls for name in calls_in(graph) if name in functions)
    return sum(float("inf") if calls is None else calls for calls in called)


@dataclass(frozen=True, kw_only=True)
class InlineLocalFunction(Rewrite[Call]):
    """Put the body of one of the model's own functions in the place of a call of it."""

    name: ClassVar[str] = "inline-local-function"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)
    measure: ClassVar[Measure] = staticmethod(calls_to_make)

    size_limit: int = 1 << 20
    bodies: BodyReader | None = None

    def find(self, graph: Graph, node: int) -> Call | None:
        """A call of a function that the model brings along."""
        op, functions = graph.op(node), local_functions(graph.model.carried)
        function = functions.get(op.function) if functions and isinstance(op, Opaque) else None
        return None if function is None else Call(node=node, function=function)

    @requirement
    def it_comes_to_an_end(self, graph: Graph, m: Call) -> bool:
        """No function that it runs calls itself, by way of others or at once."""
        return m.function.calls is not None

    @requirement
    def the_model_grows_within_the_limit(self, graph: Graph, m: Call) -> bool:
        """All that it runs takes at most ``size_limit`` bytes, or it is the only call of its function."""
        return (m.function.nbytes or 0) <= self.size_limit or _is_the_only_one(graph, m)

    @requirement
    def its_body_can_be_read(self, graph: Graph, m: Call) -> bool:
        """What it runs is valid on what it is given, and the opset of the model can say it."""
        try:
            return self.bodies is not None and self.bodies.body(graph, m.node) is not None
        except ConvgraphError:
            return False

    @requirement
    def the_operator_sets_agree(self, graph: Graph, m: Call) -> bool:
        """Other operators than ONNX's are of the version that the model has, if it has that set at all."""
        own = {domain for domain, *_ in local_functions(graph.model.carried)}
        theirs, ours = _sets(self._body(graph, m)), graph.model.opsets
        return all(d in own or ours.get(d, version) == version for d, version in theirs.items())

    @requirement
    def the_results_have_the_types_it_states(self, graph: Graph, m: Call) -> bool:
        """The body makes values of the types that the model states for the results."""
        made = self._body(graph, m)
        pairs = zip(graph.results(m.node), made.outputs, strict=False)
        return all(graph.type(result).admits(made.type(value)) for result, value in pairs)

    def apply(self, edit: Edit, m: Call) -> None:
        """Add the operations of the body and let the readers read what they make."""
        graph, body = edit.graph, self._body(edit.graph, m)
        operands = zip(m.function.proto.input, graph.operands(m.node), strict=False)
        captured = {body.value(name): value for name, value in operands if value is not None}
        made = edit.graft(body, captured=captured, like=m.node)
        for result, value in zip(graph.results(m.node), made, strict=False):
            edit.replace(result, value)
        graph.header.model = graph.model.requiring(_sets(body))

    def _body(self, graph: Graph, m: Call) -> Graph:
        assert self.bodies is not None
        return self.bodies.body(graph, m.node)


def _sets(body: Graph) -> Mapping[str, int]:
    """The operator sets that a body uses, and their versions; ONNX's own always."""
    used = {"", *(domain for domain, *_ in calls_in(body))}
    return {domain: version for domain, version in body.model.opsets.items() if domain in used}


def _is_the_only_one(graph: Graph, m: Call) -> bool:
    """Whether no other call of the function is in the model, but in functions that are inlined themselves."""
    name, model = function_of(m.function.proto), graph.model
    while graph.around is not None:
        graph = graph.around
    functions = local_functions(model.carried).items()
    elsewhere = any(name in other.called for key, other in functions if key not in model.released)
    calls = (call for call in calls_in(graph) if call == name)
    return not elsewhere and len(list(islice(calls, 2))) == 1
