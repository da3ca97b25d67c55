"""Tables for remove-idle-sampling."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.ir import ops
from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import AveragePool, MaxPool, Op, Opaque, ReduceMean, Relu, Resize, Split
from convgraph.ir.tensor import Array, DataType, Dim
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.remove_idle_sampling import RemoveIdleSampling

TILE = Opaque(op_type="Tile", arity=2)
ONES = np.ones(4, np.float32)


def idle(
    op: Op,
    *operands: Array | None,
    size: Sequence[Dim] = ("N", 4, "H", "W"),
    dtype: type = np.float32,
    given: bool = False,
    bare: bool = False,
    names: Sequence[str] = ("",),
) -> Callable[[Draw], Graph]:
    """An operation on x and constants, and a Relu of it; ``bare``: neither before nor after it is there one.

    ``given`` lets a caller override the last operand; ``names`` are those of results that are returned, too.
    """

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=19)
        y = b.input("x", shape=size, dtype=DataType.of(np.dtype(dtype)))
        rest: list[Operand] = list(operands)
        if given and operands and operands[-1] is not None:
            rest[-1] = b.overridable("given", operands[-1])
        y, *others = b.add_all(
            op, y, *rest, names=names, types=[b.type(y)] if isinstance(op, Opaque) else None
        )
        b.output(y if bare else b.add(Relu(), y), name="y")
        for other in others:
            b.output(other)
        return b.build()

    return build


def resized(mode: str, how: str, *numbers: Array | None, **of: object) -> Callable[[Draw], Graph]:
    op = Resize(mode=mode, coordinate_transformation_mode=how)
    return idle(op, None, *numbers, **of)  # type: ignore[arg-type] - the options of idle


EXAMPLES = {
    "scales": resized("nearest", "asymmetric", ONES),
    "scales, linear": resized("linear", "half_pixel", ONES, size=("N", 4, 7, 5)),
    "scales, cubic": resized("cubic", "align_corners", ONES, size=("N", 4, 7, 5)),
    "sizes": resized("linear", "pytorch_half_pixel", None, np.array([2, 4, 7, 5]), size=(2, 4, 7, 5)),
    "scales of two axes": idle(Resize(axes=(2, 3)), None, ONES[:2]),
    "half": resized("nearest", "half_pixel", ONES, dtype=np.float16, size=("N", 4, 7, 5)),
    "once": idle(TILE, np.ones(4, np.int64)),
    "one piece": idle(Split(axis=1), np.array([4])),
    "one piece, by number": idle(Split(axis=2, num_outputs=1)),
    "largest of a pixel": idle(MaxPool.of((1, 1))),
    "mean of a pixel": idle(AveragePool.of((1, 1, 1)), size=("N", 4, "H", "W", 3)),
    "mean of all there is": idle(ops.GlobalAveragePool(), size=("N", 4, 1, 1)),
    "largest of all there is": idle(ops.GlobalMaxPool(), size=("N", 4, 1)),
    "mean along one": idle(ReduceMean(), np.array([-1, 2]), size=("N", 4, 1, 1)),
    "mean along all": idle(ReduceMean(), size=(1, 1, 1)),
    "sum, double": idle(ops.ReduceSum(), np.array([1]), size=("N", 1, "H"), dtype=np.float64),
}

NEAR_MISSES = {
    "the_names_of_the_interface_stay": [
        idle(TILE, np.ones(4, np.int64), bare=True),
        idle(MaxPool.of((1, 1)), bare=True),
    ],
}


@pytest.mark.parametrize(
    "other",
    [
        resized("nearest", "asymmetric", np.array([1, 1, 2, 1], np.float32)),
        resized("nearest", "asymmetric", np.array([1, 1, 1, 1.05], np.float32), size=("N", 4, 7, 5)),
        resized("nearest", "asymmetric", ONES, given=True),
        resized("linear", "half_pixel", None, np.array([2, 4, 7, 6]), size=(2, 4, 7, 5)),
        resized("linear", "half_pixel", None, np.array([2, 4, 7, 5]), size=("N", 4, 7, 5)),
        idle(
            Resize(coordinate_transformation_mode="tf_crop_and_resize"),
            np.array([0, 0, 0.25, 0, 1, 1, 0.75, 1], np.float32),
            ONES,
        ),
        idle(Opaque(domain="elsewhere", op_type="Tile", arity=2), np.ones(4, np.int64)),
        idle(TILE, np.array([1, 1, 2, 1])),
        idle(TILE, np.ones(4, np.int64), given=True),
        idle(Split(axis=1), np.array([1, 3]), names=("", "rest")),
        idle(MaxPool.of((1, 1), strides=2)),
        idle(MaxPool.of((1, 1)), names=("", "where")),
        idle(AveragePool.of((1, 2))),
        idle(MaxPool.of((1, 1), pads=(0, 0, 0, 0), strides=(1, 2))),
        idle(ops.GlobalAveragePool(), size=("N", 4, 1, "W")),
        idle(ReduceMean(keepdims=0), np.array([2, 3]), size=("N", 4, 1, 1)),
        idle(ReduceMean(), np.array([2]), size=("N", 4, 1, 1), given=True),
        idle(ReduceMean(), np.array([1, 2]), size=("N", 4, 1, 1)),
        idle(ops.ReduceSumSquare(), np.array([2]), size=("N", 4, 1, 1)),
    ],
)
def test_what_moves_or_changes_elements_stays(other: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RemoveIdleSampling()]).run(other(Draw(dyadic=True)))
    assert not trace.applications


def test_sizes_that_are_empty_are_as_good_as_none() -> None:
    graph = resized("nearest", "asymmetric", ONES, np.array([], np.int64), size=("N", 4, "H", "W"))
    _, trace = Pipeline([RemoveIdleSampling()]).run(graph(Draw(dyadic=True)))
    assert len(trace.applications) == 1
