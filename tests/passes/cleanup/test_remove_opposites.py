"""Tables for remove-opposites."""

from collections.abc import Callable

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Greater, Identity, Neg, Not, Op, Reciprocal
from convgraph.ir.tensor import DataType
from convgraph.passes.cleanup.remove_opposites import RemoveOpposites
from convgraph.passes.pipeline import Pipeline


def row(*ops: Op, dtype: type = np.float32, returned: bool = False) -> Callable[[Draw], Graph]:
    """Operations one after the other; the first one's result is returned too if asked."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        first = value = b.add(ops[0], b.input("x", shape=("N", 3, "H"), dtype=DataType.of(np.dtype(dtype))))
        for op in ops[1:]:
            value = b.add(op, value)
        b.output(value, name="y")
        if returned:
            b.output(first, name="z")
        return b.build()

    return build


def mask(draw: Draw) -> Graph:
    """A mask that is negated twice, and read once in between."""
    del draw
    b = GraphBuilder("g", opset=17)
    once = b.add(Not(), b.add(Greater(), b.input("x", shape=("N", 3, "H")), 0.5))
    b.output(once, name="z")
    b.output(b.add(Identity(), b.add(Not(), once)), name="y")
    return b.build()


EXAMPLES = {
    "Neg": row(Abs(), Neg(), Neg()),
    "Neg of an input": row(Neg(), Neg(), Abs()),
    "three of them": row(Neg(), Neg(), Neg()),
    "Neg of integers": row(Abs(), Neg(), Neg(), Abs(), dtype=np.int64),
    "Not": row(Not(), Not(), Not(), dtype=bool),
    "Not, read in between": mask,
    "between two names": row(Neg(), Neg()),
    "between two outputs": row(Abs(), Neg(), Neg(), returned=True),
}

NEAR_MISSES = {"an_operation_goes": [row(Neg(), Neg(), returned=True)]}


@pytest.mark.parametrize("ops", [(Neg(), Abs(), Neg()), (Abs(), Neg()), (Reciprocal(), Reciprocal())])
def test_what_undoes_nothing_stays(ops: tuple[Op, ...]) -> None:
    _, trace = Pipeline([RemoveOpposites()]).run(row(*ops)(Draw(dyadic=True)))
    assert not trace.applications
