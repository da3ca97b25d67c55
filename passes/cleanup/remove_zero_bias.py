"""Remove a convolution's bias that adds nothing.

    conv(x, W, 0) -> conv(x, W)

Exact, but that −0 + 0 is 0. Exporters write such biases, and rewrites leave them behind.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Convolution, Op
from convgraph.passes.rewrite import Measure, Rewrite, operand_count


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroBias:
    """A convolution whose bias is zero."""

    conv: int


@dataclass(frozen=True, kw_only=True)
class RemoveZeroBias(Rewrite[ZeroBias]):
    """Remove a convolution's bias that adds nothing."""

    name: ClassVar[str] = "remove-zero-bias"
    roots: ClassVar[tuple[type[Op], ...]] = (Convolution,)
    measure: ClassVar[Measure] = staticmethod(operand_count)

    def find(self, graph: Graph, node: int) -> ZeroBias | None:
        """A convolution with a constant bias of zeros."""
        bias = graph.constant(graph.operand(node, 2))
        return ZeroBias(conv=node) if bias is not None and not bias.numpy().any() else None

    def apply(self, edit: Edit, m: ZeroBias) -> None:
        """Put the same convolution without the bias in its place."""
        x, weight, _, *parameters = edit.graph.operands(m.conv)
        op, operands = edit.graph.op(m.conv), (x, weight, None, *parameters)
        edit.replace(Value(m.conv, 0), edit.add(op, *operands, like=m.conv))
