"""Put a number in the place of a value that is filled with it, where what reads that broadcasts.

    constant_of_shape(sizes; c) + y  ->  c + y        where y is as large as the sizes already

for every operation that broadcasts its operands. Exact: the same elements meet. Networks make zeros and ones
in the shape of what they have measured, or in one that is larger than the rest of the file.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from onnx import AttributeProto, numpy_helper

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Opaque
from convgraph.ir.tensor import Array
from convgraph.passes.cleanup.broadcasting import all_readers_broadcast, asked_shape, is_as_large_with
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A ConstantOfShape, its sizes, and the number it is filled with."""

    result: Value
    sizes: Value | None
    number: Array


@dataclass(frozen=True, kw_only=True)
class FoldFillIntoBroadcast(Rewrite[Filled]):
    """Put a number in the place of a value that is filled with it, where what reads that broadcasts."""

    name: ClassVar[str] = "fold-fill-into-broadcast"
    roots: ClassVar[tuple[type[Op], ...]] = (Opaque,)

    def find(self, graph: Graph, node: int) -> Filled | None:
        """A ConstantOfShape that something reads."""
        op, result = graph.op(node), Value(node, 0)
        if not isinstance(op, Opaque) or (op.domain, op.op_type) != ("", "ConstantOfShape"):
            return None
        number = _number(op)
        if number.size != 1 or not graph.readers(result):
            return None
        return Filled(result=result, sizes=graph.operand(node, 0), number=number.reshape(()))

    @requirement
    def all_that_reads_it_broadcasts(self, graph: Graph, m: Filled) -> bool:
        """Pointwise operations of several operands read it, and the graph does not return it."""
        return all_readers_broadcast(graph, m.result)

    @requirement
    def the_results_are_as_large_without(self, graph: Graph, m: Filled) -> bool:
        """What reads it with a single number gives results of the same shape."""
        return is_as_large_with(graph, m.result, shape=asked_shape(graph, m.sizes), instead=())

    def apply(self, edit: Edit, m: Filled) -> None:
        """Let the readers read the number."""
        number = edit.constant(m.number, name="fill")
        for use in edit.graph.readers(m.result):
            edit.rewire(use, number)


def _number(op: Opaque) -> Array:
    """What a ConstantOfShape repeats: zero where the model does not say it."""
    if "value" not in op.encoded:
        return np.zeros((), np.float32)
    return numpy_helper.to_array(AttributeProto.FromString(op.encoded["value"]).t)
