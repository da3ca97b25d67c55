"""Remove arithmetic with the one number that changes nothing.

    x + 0 = x − 0 = x · 1 = x / 1 = x¹ -> x
    x ∧ true = x ∨ false = x ⊻ false -> x

with the constant on either side of what may be turned round, a number or one everywhere alike. Exact, but
that −0 + 0 is 0. Exporters write them for options that are off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, And, Div, Mul, Op, Or, Pow, Sub, Xor
from convgraph.ir.tensor import DataType, Tensor
from convgraph.passes.cleanup.handed_on import BroadcastOn, PassedOn
from convgraph.passes.fusion.channelwise import beside_constants

_NEUTRAL: Mapping[type[Op], int] = {Add: 0, Sub: 0, Mul: 1, Div: 1, Pow: 1, And: 1, Or: 0, Xor: 0}
_ONE_WAY = (Sub, Div, Pow)


@dataclass(frozen=True, kw_only=True)
class RemoveNeutralConstant(BroadcastOn):
    """Remove arithmetic with the one number that changes nothing."""

    name: ClassVar[str] = "remove-neutral-constant"
    roots: ClassVar[tuple[type[Op], ...]] = tuple(_NEUTRAL)

    def find(self, graph: Graph, node: int) -> PassedOn | None:
        """An operation on a value and a constant that is its neutral number throughout."""
        op = graph.op(node)
        for x, constant, first in beside_constants(graph, node):
            if not (first and isinstance(op, _ONE_WAY)) and _is_throughout(constant, _NEUTRAL[type(op)]):
                return PassedOn(source=x, result=Value(node, 0))
        return None


def _is_throughout(constant: Tensor, number: int) -> bool:
    """Whether every element is the number; the first one tells of most that they are not."""
    if not constant.size or constant.dtype in (DataType.STRING, DataType.UNDEFINED):
        return False
    elements = constant.numpy().reshape(-1)
    return bool(elements[0] == number) and bool(np.all(elements == number))
