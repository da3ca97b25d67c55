"""Tables for split-conv-along-concat, and what becomes of the activation."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from laws.draw import Draw

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Activation, Add, Concat, Conv, PRelu, Relu
from convgraph.ir.tensor import Dim
from convgraph.passes import Pipeline, SplitConvAlongConcat


def joined(
    *widths: int,
    kernel: int = 1,
    activation: Activation | None = None,
    slope: bool = False,
    bias: bool = True,
    spatial: Sequence[Dim] = (28, 20),
    batch: Dim = "N",
    given: bool = False,
    group: int = 1,
    axis: int = 1,
    read: bool = False,
    bare: bool = False,
) -> Callable[[Draw], Graph]:
    """A convolution of channels that convolutions make, joined.

    A caller may override the weight where it is ``given``; ``read``: of what is joined a Relu is returned,
    too; ``bare``: the parts are the graph's inputs.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        rank = len(spatial)
        x = b.input("x", shape=(batch, 64, *spatial))
        one = (1,) * rank
        make = replace(Conv.of(rank), activation=Relu())
        if bare:
            parts = [b.input(f"x{i}", shape=(batch, w, *spatial)) for i, w in enumerate(widths)]
        else:
            parts = [b.add(make, x, draw.weight(width, 64, *one)) for width in widths]
        whole = b.add(Concat(axis=axis), *parts, node="joined")
        total = sum(widths) if axis in (1, 1 - 2 - rank) else widths[0]
        array = draw.weight(48, total // group, *(kernel,) * rank)
        weight = b.overridable("weight", array) if given else b.constant(array, name="weight")
        rest = [draw.weight(48) if bias or slope else None]
        rest += [draw.factor(48, *one)] if slope else []
        op = replace(Conv.of(rank, pads=kernel // 2, group=group), activation=activation)
        b.output(b.add(op, whole, weight, *rest, node="conv"), name="y")
        if read:
            b.output(b.add(Relu(), whole))
        return b.build()

    return build


EXAMPLES = {
    "one part is not whole": joined(64, 4),
    "no part is whole": joined(36, 36, 36),
    "those that are whole stay joined": joined(64, 4, 32),
    "no bias": joined(64, 4, bias=False),
    "activation": joined(64, 4, activation=Relu()),
    "a slope for each channel": joined(64, 1, activation=PRelu(), slope=True, kernel=3),
    "three by three": joined(64, 1, kernel=3),
    "one sample": joined(64, 4, batch=1),
    "open size": joined(64, 4, spatial=("H", "W")),
    "axis from the end": joined(64, 4, axis=-3),
}

NEAR_MISSES = {
    "the_weight_is_constant": [joined(64, 4, given=True)],
    "it_is_cheaper_on_the_target": [
        joined(20, 20, 20, kernel=3),
        joined(62, 4, bare=True),
        joined(64, 4, spatial=(28,)),
    ],
}


@pytest.mark.parametrize(
    "graph",
    [
        joined(64, 32),
        joined(4, 4, 4, 4, 4),
        joined(66, 66, axis=2),
        joined(62, 4, group=2),
        joined(68),
        joined(64, 4, read=True),
    ],
)
def test_anything_else_is_left_alone(graph: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([SplitConvAlongConcat()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_the_activation_comes_after_the_sum() -> None:
    result = optimize(to_onnx(joined(64, 4, activation=Relu())(Draw(dyadic=False))))
    assert result.verification is not None
    assert result.verification.equal
    kinds = [type(result.graph.op(node)) for node in result.graph.compute_nodes()]
    assert kinds == [Conv, Conv, Conv, Conv, Add, Relu]
    assert not optimize(result.proto, verify=False).changed
