"""Tables for fuse-max-into-clip."""

from collections.abc import Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.pointwise import Steps, made_of

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import Clip, Max, Min, Op, Relu
from convgraph.passes.fusion.fuse_max_into_clip import FuseMaxIntoClip
from convgraph.passes.pipeline import Pipeline


def chain(*links: tuple[Op, float], left: bool = False, rank: int = 0, dtype: type = np.float32) -> Steps:
    """One comparison after another, each with its number, which stands first if asked."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        made = [x]
        for op, number in links:
            if isinstance(op, Relu):
                made.append(b.add(op, made[-1]))
                continue
            bound = b.constant(np.full((1,) * rank, number, dtype), name="bound")
            made.append(b.add(op, *((bound, made[-1]) if left else (made[-1], bound))))
        return made[1:]

    return steps


def clipped(op: Op, number: float) -> Steps:
    """A comparison of a Clip between −2 and 3."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        y = b.add(Clip(), x, -2.0, 3.0)
        return [y, b.add(op, y, number)]

    return steps


def clips(*bounds: tuple[float | None, float | None] | None, dtype: type = np.float32) -> Steps:
    """One Clip after another, None for a Relu."""

    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        made = [x]
        for pair in bounds:
            numbers = [None if n is None else np.array(n, dtype) for n in pair or ()]
            made.append(b.add(Relu() if pair is None else Clip(), made[-1], *numbers))
        return made[1:]

    return steps


EXAMPLES = {
    "Relu": made_of(chain((Max(), 0.0))),
    "Relu, constant first": made_of(chain((Max(), 0.0), left=True)),
    "a lower bound": made_of(chain((Max(), -1.0), rank=1)),
    "an upper bound": made_of(chain((Min(), 2.0), rank=4)),
    "Relu6": made_of(chain((Max(), 0.0), (Min(), 3.0))),
    "the other way round": made_of(chain((Min(), 3.0), (Max(), 0.0), left=True)),
    "crossed bounds": made_of(chain((Max(), 2.0), (Min(), -1.0))),
    "crossed the other way": made_of(chain((Min(), -1.0), (Max(), 2.0))),
    "of a Relu": made_of(chain((Relu(), 0.0), (Min(), 2.0))),
    "of a Relu that something else reads": made_of(chain((Relu(), 0.0), (Min(), 2.0)), returned=0),
    "tighter than a Clip": made_of(clipped(Min(), 1.0)),
    "wider than a Clip": made_of(clipped(Max(), -3.0)),
    "above a Clip": made_of(clipped(Max(), 4.0)),
    "four in a row": made_of(chain((Max(), -3.0), (Min(), 3.0), (Max(), -1.0), (Min(), 2.0))),
    "a Clip of a Relu": made_of(clips(None, (-1, 2))),
    "a Relu of a Clip": made_of(clips((-1, 2), None)),
    "a Relu of a Relu": made_of(clips(None, None)),
    "a Clip of a Clip": made_of(clips((-3, 2), (-2, 3))),
    "a Clip of a Clip below it": made_of(clips((-3, -2), (-2, 3))),
    "a Clip of one with crossed bounds": made_of(clips((3, -1), (-2, 2))),
    "a Clip with crossed bounds": made_of(clips((-2, 2), (1, -1))),
    "Clips with one bound each": made_of(clips((-2, None), (None, 2))),
    "three Clips": made_of(clips((-3, 3), (None, 2), None)),
    "doubles clipped twice": made_of(clips((-2, 2.3), (-1.1, 3), dtype=np.float64), dtype=np.float64),
    "half": made_of(chain((Max(), 0.0), (Min(), 3.0), dtype=np.float16), dtype=np.float16),
    "double": made_of(chain((Max(), -1.1), (Min(), 2.3), dtype=np.float64), dtype=np.float64),
    "an opset where bounds are attributes": made_of(chain((Max(), -1.0), (Min(), 3.0)), opset=9),
}

STAY = {
    "one Clip": made_of(clips((-1, 2))),
    "one Relu": made_of(clips(None)),
    "a Clip above one": made_of(clips((-3, 1), (2, 3))),
    "a Clip that is read elsewhere too": made_of(clips((-3, 1), (-2, 3)), returned=0),
    "a bound that is no number": made_of(clips((-3, 1), (np.nan, 3))),
    "integers": made_of(clips((-3, 2), (-2, 3), dtype=np.int64), dtype=np.int64),
}

NEAR_MISSES: dict[str, list[object]] = {}


@pytest.mark.parametrize(
    ("dtype", "opset"),
    [(np.float64, 11), (np.int64, 17), (np.int32, 12)],
    ids=["doubles before runtimes clip them", "int64", "int32"],
)
def test_what_has_no_clip_stays(dtype: type, opset: int) -> None:
    graph = made_of(chain((Max(), -1), (Min(), 2), dtype=dtype), dtype=dtype, opset=opset)(Draw(dyadic=True))
    _, trace = Pipeline([FuseMaxIntoClip()]).run(graph)
    assert not trace.applications


@pytest.mark.parametrize("example", STAY)
def test_what_one_clip_cannot_say_stays(example: str) -> None:
    _, trace = Pipeline([FuseMaxIntoClip()]).run(STAY[example](Draw(dyadic=True)))
    assert not trace.applications


def test_a_bound_that_is_an_array_stays() -> None:
    def steps(b: GraphBuilder, x: Value) -> Sequence[Value]:
        return [b.add(Max(), x, np.arange(4, dtype=np.float32).reshape(4, 1, 1))]

    _, trace = Pipeline([FuseMaxIntoClip()]).run(made_of(steps)(Draw(dyadic=True)))
    assert not trace.applications


@pytest.mark.parametrize(("op", "open_side"), [(Max(), 2), (Min(), 1)])
def test_the_side_that_is_open_has_no_bound(op: Op, open_side: int) -> None:
    result, _ = Pipeline([FuseMaxIntoClip()]).run(made_of(chain((op, -1.0)))(Draw(dyadic=True)))
    (clip,) = (node for node in result.compute_nodes() if isinstance(result.op(node), Clip))
    assert [slot for slot in (1, 2) if result.operand(clip, slot) is None] == [open_side]


def test_what_is_kept_above_zero_alone_is_a_relu() -> None:
    result, _ = Pipeline([FuseMaxIntoClip()]).run(made_of(chain((Max(), 0.0)))(Draw(dyadic=True)))
    labels = [result.op(node).label for node in result.compute_nodes()]
    assert "Relu" in labels
    assert "Clip" not in labels
