"""Put a constant in the place of a size that is known without running anything.

    shape(x), size(x) -> c        where every dimension asked for is a number

Exact: a runtime holds the graph to its declared types. Networks compute the operands of Reshape, Slice and
Resize from such sizes; once these are constants the arithmetic after them folds too.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.analysis.elements import known_elements
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Opaque
from convgraph.ir.tensor import Known
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The result of measuring a value, and the numbers in it if they are all known."""

    result: Value
    sizes: Known | None


@dataclass(frozen=True, kw_only=True)
class FoldStaticShape(Rewrite[Measured]):
    """Put a constant in the place of a size that is known without running anything."""

    name: ClassVar[str] = "fold-static-shape"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)

    def find(self, graph: Graph, node: int) -> Measured | None:
        """A Shape or Size of ONNX's own."""
        op = graph.op(node)
        if not isinstance(op, Opaque) or op.domain or op.op_type not in ("Shape", "Size"):
            return None
        operands = tuple(None if v is None else graph.type(v) for v in graph.operands(node))
        result = Value(node, 0)
        return Measured(result=result, sizes=known_elements(op, operands, graph.type(result)))

    @requirement
    def the_sizes_are_numbers(self, graph: Graph, m: Measured) -> bool:
        """Every dimension it asks for is a number, not a symbol or unknown."""
        return m.sizes is not None

    def apply(self, edit: Edit, m: Measured) -> None:
        """Put the sizes in the place of the measurement."""
        sizes = np.array(m.sizes, np.int64).reshape(edit.graph.type(m.result).static_shape or ())
        edit.replace(m.result, edit.constant(sizes, name="folded"))
