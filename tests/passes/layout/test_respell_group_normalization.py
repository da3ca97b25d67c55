"""Tables for respell-group-normalization, and what becomes of its scale and shift."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.normalised import BOUND

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, GroupNormalization, InstanceNormalization, Relu
from convgraph.ir.tensor import DataType, Dim
from convgraph.passes import Pipeline, RespellGroupNormalization

__all__ = ["BOUND"]


def normalised(
    groups: int = 4,
    *,
    channels: Dim = 32,
    spatial: Sequence[Dim] = (28, 20),
    dtype: type = np.float32,
    given: str = "",
    epsilon: float = 1e-5,
    stash_type: DataType = DataType.FLOAT,
    convolved: bool = False,
) -> Callable[[Draw], Graph]:
    """A normalisation of groups and a Relu; ``convolved``: between convolutions.

    A caller may override the "scale" or the "shift" that is ``given``.
    """

    def build(draw: Draw) -> Graph:
        b, rank = GraphBuilder("g", opset=21), len(spatial)
        kind = DataType.of(np.dtype(dtype))
        x = b.input("x", shape=("N", channels, *spatial), dtype=kind)
        wide = channels if isinstance(channels, int) else 32
        if convolved:
            x = b.add(Conv.of(rank), x, draw.weight(wide, wide, *(1,) * rank, dtype=dtype))
        drawn = {"scale": draw.factor(wide, dtype=dtype), "shift": draw.weight(wide, dtype=dtype)}
        parameters = [b.overridable(n, a) if n == given else b.constant(a, name=n) for n, a in drawn.items()]
        op = GroupNormalization(num_groups=groups, epsilon=epsilon, stash_type=stash_type)
        y = b.add(op, x, *parameters, node="norm")
        y = b.add(Relu(), y)
        if convolved:
            y = b.add(Conv.of(rank), y, draw.weight(24, wide, *(1,) * rank, dtype=dtype))
        b.output(y, name="y")
        return b.build()

    return build


EXAMPLES = {
    "image": normalised(),
    "one group": normalised(1),
    "a group for each channel": normalised(32),
    "epsilon": normalised(epsilon=0.25),
    "between convolutions": normalised(convolved=True),
    "sequence": normalised(spatial=(300,)),
    "volume": normalised(spatial=(5, 14, 12)),
    "open size": normalised(spatial=("H", "W")),
    "open height": normalised(spatial=("H", 20)),
}

NEAR_MISSES = {
    "the_parameters_are_constant": [normalised(given="scale"), normalised(given="shift")],
    "it_is_cheaper_on_the_target": [normalised(4, channels=4, spatial=(2, 1))],
}


@pytest.mark.parametrize(
    "graph",
    [
        normalised(channels="C"),
        normalised(dtype=np.float16),
        normalised(stash_type=DataType.DOUBLE),
    ],
)
def test_anything_else_is_left_alone(graph: Callable[[Draw], Graph]) -> None:
    _, trace = Pipeline([RespellGroupNormalization()]).run(graph(Draw(dyadic=True)))
    assert not trace.applications
    assert not trace.refusals


def test_its_scale_and_shift_become_a_convolution_with_the_activation() -> None:
    result = optimize(to_onnx(normalised(convolved=True)(Draw(dyadic=False))))
    assert result.verification is not None
    assert result.verification.equal
    ops = [result.graph.op(node) for node in result.graph.compute_nodes()]
    assert sum(isinstance(op, InstanceNormalization) for op in ops) == 1
    assert [op.activation for op in ops if isinstance(op, Conv) and op.group > 1] == [Relu()]
    assert not optimize(result.proto, verify=False).changed
