"""Remove Dropout from a network that only infers.

    dropout(x, ratio, training = false) -> x

Exact: outside training Dropout is the identity (ONNX operator specification).
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Dropout, Op
from convgraph.passes.cleanup.handed_on import HandedOn, PassedOn
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class RemoveDropout(HandedOn):
    """Remove Dropout from a network that only infers."""

    name: ClassVar[str] = "remove-dropout"
    roots: ClassVar[tuple[type[Op], ...]] = (Dropout,)

    def find(self, graph: Graph, node: int) -> PassedOn | None:
        """Any Dropout."""
        source = graph.operand(node, 0)
        return None if source is None else PassedOn(source=source, result=Value(node, 0))

    @requirement
    def it_runs_in_inference_mode(self, graph: Graph, m: PassedOn) -> bool:
        """Its training_mode operand is absent or a constant false."""
        mode = graph.operand(m.result.node, 2)
        constant = graph.constant(mode)
        return mode is None or (constant is not None and not constant.numpy().any())

    @requirement
    def its_mask_is_unread(self, graph: Graph, m: PassedOn) -> bool:
        """Nothing reads or returns the mask."""
        masks = graph.results(m.result.node)[1:]
        return not any(graph.readers(mask) or graph.is_output(mask) for mask in masks)
