"""Put the branch that a constant condition takes in the place of the If.

    if(c, then f, else g) -> f where c is true, g where it is false        c constant

Exact: the same operations run, on the same values. Exporters that trace both ways write such Ifs around what
a configuration switches, and others become constant once shapes are known.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Opaque, Squeeze
from convgraph.passes.bodies import bodies_of
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownChoice:
    """An If, the branch it always takes, and the values that this captures."""

    node: int
    branch: Graph
    captured: dict[Value, Value]

    @property
    def pairs(self) -> tuple[tuple[Value, Value], ...]:
        """Each result of the If with the output of the branch that it is."""
        return tuple((Value(self.node, index), made) for index, made in enumerate(self.branch.outputs))


def choices(graph: Graph) -> int:
    """Measure: how many Ifs there are, those inside bodies included."""
    ops = [graph.op(node) for node in graph.compute_nodes()]
    return sum(_is_if(op) + sum(map(choices, bodies_of(op).values())) for op in ops)


@dataclass(frozen=True, kw_only=True)
class InlineConstantIf(Rewrite[KnownChoice]):
    """Put the branch that a constant condition takes in the place of the If."""

    name: ClassVar[str] = "inline-constant-if"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)
    measure: ClassVar[Measure] = staticmethod(choices)

    def find(self, graph: Graph, node: int) -> KnownChoice | None:
        """An If whose condition is one constant number."""
        op = graph.op(node)
        condition = graph.constant(graph.operand(node, 0)) if _is_if(op) else None
        if condition is None or condition.size != 1:
            return None
        taken = "then_branch" if condition.numpy().reshape(()) else "else_branch"
        bodies, rest = bodies_of(op), iter(graph.operands(node)[1:])
        captured = {name: dict(zip(body.captures, rest, strict=False)) for name, body in bodies.items()}
        if taken not in bodies:
            return None
        given = {inside: outside for inside, outside in captured[taken].items() if outside is not None}
        return KnownChoice(node=node, branch=bodies[taken], captured=given)

    @requirement
    def the_results_have_the_types_it_states(self, graph: Graph, m: KnownChoice) -> bool:
        """The branch makes values of the types that the model states for the results."""
        return all(graph.type(result).admits(m.branch.type(made)) for result, made in m.pairs)

    def apply(self, edit: Edit, m: KnownChoice) -> None:
        """Add the branch's operations and let the readers read what they make."""
        made = edit.graft(m.branch, captured=m.captured)
        for (result, _), value in zip(m.pairs, made, strict=True):
            _give_ranges(edit, result, value)
            edit.replace(result, value)


def _give_ranges(edit: Edit, result: Value, value: Value) -> None:
    """Let Range read a scalar, as ONNX has it: a vector of one passes as long as its shape is not seen."""
    kind = edit.graph.type(value)
    if kind.rank == 1 and kind.size in (None, 1):
        for use in edit.graph.readers(result):
            if edit.graph.op(use.node).label == "Range":
                edit.rewire(use, edit.add(Squeeze(), value, edit.constant(np.array([0]))))


def _is_if(op: Op) -> bool:
    return isinstance(op, Opaque) and (op.domain, op.op_type) == ("", "If")
