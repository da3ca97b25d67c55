"""Tables for respell-activation-as-conv, and what becomes of an activation after a sum."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Activation, Add, Clip, Conv, Elu, LeakyRelu, Relu, Swish
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline, RespellActivationAsConv

LEAKY = LeakyRelu(alpha=0.25)


def residual(
    activation: Activation,
    *bounds: float | None,
    spatial: Sequence[Dim] = (28, 20),
    batch: Dim = "N",
    given: str = "",
    sums: bool = True,
    dtype: type = np.float32,
    read: bool = True,
    channels: Dim = 64,
) -> Callable[[Draw], Graph]:
    """An activation between convolutions, of a residual sum where ``sums``.

    ``given`` makes the bounds "computed", graph inputs, or such as a caller may override; ``read`` is False
    where the activation is the graph's result. Of unknown ``channels`` it is the graph's input.
    """

    def build(draw: Draw) -> Graph:
        b = GraphBuilder("g", opset=17)
        x = b.input("x", shape=(batch, channels, *spatial), dtype=DataType.of(np.dtype(dtype)))
        wide, rank, y = 64, len(spatial), x
        if channels == wide:
            kernel = (1,) * rank
            x = b.add(Conv.of(rank), x, draw.weight(wide, wide, *kernel, dtype=dtype))
            y = b.add(Conv.of(rank), b.add(Relu(), x), draw.weight(wide, wide, *kernel, dtype=dtype))
        limits = list[Operand]()
        for place, bound in enumerate(bounds):
            array = None if bound is None else np.asarray(bound, dtype)
            if array is not None and given == "computed":
                limits.append(b.input(f"bound {place}", shape=(), dtype=DataType.of(array.dtype)))
            else:
                limits.append(
                    b.overridable(f"bound {place}", array) if given and array is not None else array
                )
        y = b.add(activation, b.add(Add(), y, x) if sums else y, *limits, node="activation")
        if read:
            y = b.add(Conv.of(rank), y, draw.weight(60, wide, *(1,) * rank, dtype=dtype))
        b.output(y, name="y")
        return b.build()

    return build


EXAMPLES = {
    "LeakyRelu": residual(LEAKY),
    "Clip": residual(Clip(), 0, 6),
    "Clip above": residual(Clip(), None, 6),
    "one sample": residual(LEAKY, batch=1),
    "open size": residual(LEAKY, spatial=("H", "W")),
}

NEAR_MISSES = {
    "it_is_cheaper_on_the_target": [
        residual(LEAKY, sums=False),
        residual(LEAKY, read=False),
    ],
}


@pytest.mark.parametrize(
    "graph",
    [
        residual(Relu()),
        residual(Elu()),
        residual(Swish()),
        residual(LEAKY, spatial=(28,)),
        residual(LEAKY, channels="C"),
        residual(LEAKY, dtype=np.float64),
        residual(Clip(), 0, 6, given="computed"),
        residual(Clip(), 0, 6, given="overridable"),
    ],
)
def test_anything_else_is_left_alone(graph: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RespellActivationAsConv()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_the_activation_after_a_sum_stays_in_a_convolution() -> None:
    result = optimize(to_onnx(residual(LEAKY)(Draw(dyadic=False))))
    assert result.verification is not None
    assert result.verification.equal
    graph = result.graph
    carried = [
        op.activation for n in graph.compute_nodes() if isinstance(op := graph.op(n), Conv) and op.group > 1
    ]
    assert carried == [LEAKY]
    assert not optimize(result.proto, verify=False).changed
