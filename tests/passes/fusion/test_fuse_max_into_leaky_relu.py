"""Tables for fuse-max-into-leaky-relu."""

from collections.abc import Sequence

import numpy as np
from laws.draw import Draw
from laws.pointwise import Steps, made_of

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Abs, Add, Max, Mul
from convgraph.passes import Pipeline
from convgraph.passes.fusion.fuse_max_into_leaky_relu import FuseMaxIntoLeakyRelu


def larger(slope: float, *, first: bool = False, left: bool = False) -> Steps:
    """The product with a number, which stands left if asked; and the Max, where x is first if asked."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        number = b.constant(np.array(slope, b.type(x).dtype.numpy), name="slope")
        multiple = b.add(Mul(), *((number, x) if left else (x, number)))
        return [multiple, b.add(Max(), *((x, multiple) if first else (multiple, x)))]

    return steps


EXAMPLES = {
    "multiple first": made_of(larger(0.25)),
    "x first": made_of(larger(0.125, first=True, left=True)),
    "a usual slope": made_of(larger(0.5, left=True), shape=("N", 3, "L")),
    "a negative slope": made_of(larger(-0.5)),
    "half": made_of(larger(0.25), dtype=np.float16),
}

NEAR_MISSES = {
    "the_multiple_is_no_larger": [made_of(larger(2.0))],
    "nothing_else_reads_the_multiple": [made_of(larger(0.25), returned=0)],
}


def test_the_larger_of_a_value_and_a_sum_is_left_alone() -> None:
    def larger_sum(b: GraphBuilder, x: Value) -> Sequence[Value]:
        total = b.add(Add(), x, np.full((), 0.25, np.float32))
        return [total, b.add(Max(), total, x)]

    graph = made_of(larger_sum)(Draw(dyadic=True))
    assert not Pipeline([FuseMaxIntoLeakyRelu()]).run(graph)[1].applications


def test_the_largest_of_three_is_left_alone() -> None:
    def largest(b: GraphBuilder, x: Value) -> Sequence[Value]:
        multiple = b.add(Mul(), x, np.full((), 0.25, np.float32))
        return [multiple, b.add(Max(), multiple, b.add(Abs(), x), x)]

    graph = made_of(largest)(Draw(dyadic=True))
    assert not Pipeline([FuseMaxIntoLeakyRelu()]).run(graph)[1].applications
