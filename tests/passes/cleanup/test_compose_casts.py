"""Tables for compose-casts."""

from collections.abc import Callable

import pytest
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Abs, Cast, Not
from convgraph.ir.tensor import DataType
from convgraph.passes.cleanup.compose_casts import ComposeCasts
from convgraph.passes.pipeline import Pipeline

D = DataType


def casts(
    first: DataType, *to: DataType, between: bool = True, returned: bool = False
) -> Callable[[Draw], Graph]:
    """A value of the first type, cast to one after another; the first cast is returned too if asked."""

    def build(draw: Draw) -> Graph:
        del draw
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 3, "H"), dtype=first)
        made = [b.add(Not() if first is D.BOOL else Abs(), x) if between else x]
        for kind in to:
            made.append(b.add(Cast(to=kind), made[-1]))
        b.output(made[-1], name="y")
        if returned:
            b.output(made[1], name="z")
        return b.build()

    return build


EXAMPLES = {
    "there and back": casts(D.FLOAT, D.DOUBLE, D.FLOAT),
    "there and back, read in between": casts(D.FLOAT, D.DOUBLE, D.FLOAT, returned=True),
    "there and back between two names": casts(D.FLOAT, D.DOUBLE, D.FLOAT, between=False),
    "half to integers by way of float": casts(D.FLOAT16, D.FLOAT, D.INT32),
    "float to half by way of double": casts(D.FLOAT, D.DOUBLE, D.FLOAT16),
    "truth by way of integers": casts(D.BOOL, D.INT32, D.FLOAT),
    "truth and back": casts(D.BOOL, D.INT64, D.BOOL),
    "bytes by way of float": casts(D.INT8, D.FLOAT, D.INT32),
    "unsigned bytes by way of short": casts(D.UINT8, D.INT16, D.FLOAT),
    "integers by way of longer ones": casts(D.INT32, D.INT64, D.FLOAT),
    "integers wrapped later": casts(D.INT32, D.INT64, D.INT8),
    "four in a row": casts(D.INT8, D.INT16, D.INT32, D.INT64, D.FLOAT),
}

NEAR_MISSES = {
    "the_first_cast_loses_nothing": [
        casts(D.FLOAT, D.INT32, D.FLOAT),
        casts(D.FLOAT, D.BOOL, D.FLOAT),
        casts(D.INT32, D.BOOL, D.INT32),
        casts(D.INT32, D.UINT8, D.FLOAT, between=False),
        casts(D.INT32, D.UINT64, D.FLOAT, between=False),
    ],
    "a_cast_goes": [
        casts(D.FLOAT16, D.FLOAT, D.DOUBLE, returned=True),
        casts(D.FLOAT, D.DOUBLE, D.FLOAT, between=False, returned=True),
    ],
}


@pytest.mark.parametrize(
    ("narrow", "wide", "holds"),
    [
        (D.FLOAT16, D.FLOAT, True),
        (D.FLOAT, D.FLOAT16, False),
        (D.DOUBLE, D.FLOAT, False),
        (D.BFLOAT16, D.FLOAT, True),
        (D.BFLOAT16, D.FLOAT16, False),
        (D.FLOAT16, D.BFLOAT16, False),
        (D.INT32, D.FLOAT, False),
        (D.INT32, D.DOUBLE, True),
        (D.INT64, D.DOUBLE, False),
        (D.UINT8, D.INT8, False),
        (D.UINT8, D.UINT16, True),
        (D.UINT16, D.UINT8, False),
        (D.INT8, D.UINT16, False),
        (D.UINT8, D.FLOAT16, True),
        (D.UINT16, D.FLOAT16, False),
        (D.BOOL, D.FLOAT16, True),
        (D.FLOAT8E5M2, D.FLOAT, False),  # it would, but not every runtime can
        (D.FLOAT, D.STRING, False),
    ],
)
def test_what_holds_what(narrow: DataType, wide: DataType, holds: bool) -> None:
    _, trace = Pipeline([ComposeCasts()]).run(casts(narrow, wide, D.FLOAT, between=False)(Draw(dyadic=True)))
    assert bool(trace.applications) == holds


def test_casts_to_strings_stay() -> None:
    _, trace = Pipeline([ComposeCasts()]).run(casts(D.FLOAT16, D.FLOAT, D.STRING)(Draw(dyadic=True)))
    assert not trace.applications
