"""Tables for remove-idle-function."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from laws.draw import Draw
from laws.pointwise import Steps, made_of

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    Abs,
    Activation,
    Cast,
    Ceil,
    Clip,
    Conv,
    Exp,
    Floor,
    HardSigmoid,
    Neg,
    Op,
    ReduceL2,
    ReduceMin,
    Relu,
    Round,
    Sigmoid,
    Sign,
    Softmax,
    Sqrt,
    Tanh,
)
from convgraph.ir.tensor import DataType
from convgraph.passes.cleanup.remove_idle_function import RemoveIdleFunction
from convgraph.passes.pipeline import Pipeline

Link = Op | tuple[float | None, float | None]


def chain(*links: Link, dtype: type = np.float32) -> Steps:
    """One function after another; two numbers are the bounds of a Clip."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        made = [x]
        for link in links:
            op, bounds = (link, ()) if isinstance(link, Op) else (Clip(), link)
            numbers = [None if n is None else np.array(n, dtype) for n in bounds]
            made.append(b.add(op, made[-1], *numbers))
        return made[1:]

    return steps


def activated(activation: Activation, link: Link, *, own: Sequence[float] = ()) -> Steps:
    """A function of what a convolution makes with an activation of its own, a Clip of its ``own`` bounds."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        weight = np.arange(-8, 8, dtype=np.float32).reshape(4, 4, 1, 1)
        bounds = [np.array(number, np.float32) for number in own]
        y = b.add(replace(Conv.of(2), activation=activation), x, weight, None, *bounds)
        return chain(link)(b, y)

    return steps


EXAMPLES = {
    "Relu of a Relu": made_of(chain(Relu(), Relu(), Neg())),
    "Relu of a Relu, read in between": made_of(chain(Relu(), Relu(), Neg()), returned=0),
    "Relu of a Sigmoid": made_of(chain(Sigmoid(), Relu())),
    "Relu of a norm": made_of(chain(ReduceL2(), Relu())),
    "Relu of a Clip": made_of(chain((0.5, 2), Relu())),
    "Relu of a Clip with crossed bounds": made_of(chain((2, 1), Relu())),
    "Abs of Abs": made_of(chain(Abs(), Abs())),
    "Abs of a Relu": made_of(chain(Relu(), Abs())),
    "Abs of integers": made_of(chain(Abs(), Abs(), dtype=np.int64), dtype=np.int64),
    "Relu of an exponential": made_of(chain((-2, 2), Exp(), Relu())),
    "Relu of a convolution's own Sigmoid": made_of(activated(Sigmoid(), Relu())),
    "a Clip of a convolution's own": made_of(activated(Clip(), (-1, 7), own=(0, 6))),
    "a Clip without bounds": made_of(chain(Neg(), (None, None), Neg())),
    "a Clip of a HardSigmoid": made_of(chain(HardSigmoid(alpha=0.25), (0, 1))),
    "a Clip of a Softmax": made_of(chain(Softmax(axis=1), (-1, 1))),
    "a Clip of a Tanh": made_of(chain(Tanh(), (-1, None))),
    "a wider Clip of a Clip": made_of(chain((-1, 2), (-2, 2), Neg()), returned=0),
    "a Clip of a Relu": made_of(chain(Relu(), (-1, None))),
    "Relu of a root": made_of(chain(Abs(), Sqrt(), Relu())),
    "Ceil of Ceil": made_of(chain(Ceil(), Ceil())),
    "Floor of Round": made_of(chain(Round(), Floor())),
    "Round of a sign": made_of(chain(Sign(), Round())),
    "Floor of what was an integer": made_of(
        chain(Cast(to=DataType.FLOAT), Floor(), dtype=np.int32), dtype=np.int32
    ),
    "half": made_of(chain(Relu(), Relu(), dtype=np.float16), dtype=np.float16),
}

NEAR_MISSES = {
    "the_names_of_the_interface_stay": [made_of(chain(Relu(), Abs()), returned=0)],
}


@pytest.mark.parametrize(
    "links",
    [
        (Tanh(), Relu()),
        (Neg(), Abs()),
        ((-1, 2), Relu()),
        ((2, -1), Relu()),
        (Relu(), (0, 6)),
        (Relu(), (1, None)),
        ((-1, 3), (-2, 2)),
        (Sigmoid(), (0.25, 1)),
        (Abs(), Floor()),
        (Cast(to=DataType.FLOAT), Ceil()),
    ],
    ids=str,
)
def test_what_changes_something_stays(links: Sequence[Link]) -> None:
    _, trace = Pipeline([RemoveIdleFunction()]).run(made_of(chain(*links))(Draw(dyadic=True)))
    assert not trace.applications


def test_a_bound_that_is_computed_may_be_anything() -> None:
    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        low = b.add(ReduceMin(keepdims=0), x)
        return [b.add(Clip(), x, low), b.add(Clip(), b.add(Clip(), x, low), np.full((), -9, np.float32))]

    assert not Pipeline([RemoveIdleFunction()]).run(made_of(steps)(Draw(dyadic=True)))[1].applications


def test_what_changes_a_convolution_s_own_numbers_stays() -> None:
    graph = made_of(activated(Clip(), (0, 6), own=(-1, 6)))(Draw(dyadic=True))
    assert not Pipeline([RemoveIdleFunction()]).run(graph)[1].applications


def test_bounds_of_integers_are_not_compared_as_floats() -> None:
    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        bounds = [np.array(number, np.int64) for number in (0, 2**60 + 1, 0, 2**60)]
        return [b.add(Clip(), b.add(Clip(), x, *bounds[:2]), *bounds[2:])]

    _, trace = Pipeline([RemoveIdleFunction()]).run(made_of(steps, dtype=np.int64)(Draw(dyadic=True)))
    assert not trace.applications
