"""Remove Dropout from a network that only infers.

    dropout(x, ratio, training = false) -> x

Exact: outside training Dropout is the identity (ONNX operator specification).
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Dropout, Op
from convgraph.passes.cleanup.remove_identity import may_stand_for
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedOut:
    """The Dropout node, the value it reads and the result that equals it."""

    node: int
    source: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class RemoveDropout(Rewrite[DroppedOut]):
    """Remove Dropout from a network that only infers."""

    name: ClassVar[str] = "remove-dropout"
    roots: ClassVar[tuple[type[Op], ...]] = (Dropout,)

    def find(self, graph: Graph, node: int) -> DroppedOut | None:
        """Any Dropout."""
        source = graph.operand(node, 0)
        return None if source is None else DroppedOut(node=node, source=source, result=Value(node, 0))

    @requirement
    def it_runs_in_inference_mode(self, graph: Graph, m: DroppedOut) -> bool:
        """Its training_mode operand is absent or a constant false."""
        mode = graph.operand(m.node, 2)
        constant = graph.constant(mode)
        return mode is None or (constant is not None and not constant.numpy().any())

    @requirement
    def its_mask_is_unread(self, graph: Graph, m: DroppedOut) -> bool:
        """Nothing reads or returns the mask."""
        masks = graph.results(m.node)[1:]
        return not any(graph.readers(mask) or graph.is_output(mask) for mask in masks)

    @requirement
    def the_names_of_the_interface_stay(self, graph: Graph, m: DroppedOut) -> bool:
        """It does not join a graph output to a graph input or another output, two names that must stay."""
        return may_stand_for(graph, m.source, m.result)

    def apply(self, edit: Edit, m: DroppedOut) -> None:
        """Let the readers read the source."""
        edit.replace(m.result, m.source)
