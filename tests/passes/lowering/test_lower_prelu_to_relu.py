"""Tables for lower-prelu-to-relu."""

import numpy as np
import pytest
from laws.draw import Draw
from laws.nets import after_conv
from laws.prelu import sloped

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import PRelu
from convgraph.passes import Pipeline
from convgraph.passes.lowering.lower_prelu_to_relu import LowerPreluToRelu

SLOPES = np.array([0.25, -0.5, 0.0, 2.0])

EXAMPLES = {
    "one a channel": sloped(SLOPES.reshape(4, 1, 1)),
    "as many axes": sloped(SLOPES.reshape(1, 4, 1, 1)),
    "one number": sloped(SLOPES[:1]),
    "one a column": sloped(SLOPES, shape=("N", 3, "H", 4)),
    "two axes": sloped(SLOPES, shape=("N", 4)),
    "one axis": sloped(SLOPES, shape=(4,)),
    "open channels": sloped(SLOPES[:1], shape=("N", "H", "W")),
    "computed": sloped(SLOPES.reshape(4, 1, 1), given="computed"),
    "overridable": sloped(SLOPES.reshape(4, 1, 1), given="overridable"),
    "half": sloped(SLOPES.reshape(4, 1, 1), dtype=np.float16),
    "double": sloped(SLOPES.reshape(4, 1, 1), dtype=np.float64),
    "an old opset": sloped(SLOPES.reshape(4, 1, 1), opset=9),
}

NEAR_MISSES: dict[str, list[object]] = {}


@pytest.mark.parametrize("bias", [True, False])
def test_a_prelu_that_was_fused_is_spelled_on_request(bias: bool) -> None:
    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        return b.add(PRelu(), x, draw.weight(6, 1, 1))

    proto = to_onnx(after_conv(tail, bias=bias)(Draw(dyadic=False)))
    result = optimize(proto, without=["PRelu"])
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    left = sorted(node.op_type for node in result.proto.graph.node)
    assert left == ["Add", "Conv", "Mul", "Mul", "Relu", "Relu"]
    assert [node.op_type for node in optimize(proto, verify=False).proto.graph.node] == ["Conv", "PRelu"]


def test_there_is_one_minus_a_channel() -> None:
    graph = sloped(SLOPES.reshape(4, 1, 1), shape=("N", 4, 3, 5))(Draw(dyadic=True))
    result, _ = Pipeline([LowerPreluToRelu()]).run(graph)
    constants = [result.constant(v) for n in result.compute_nodes() for v in result.operands(n)]
    assert [tensor.shape for tensor in constants if tensor is not None] == [(4, 1, 1)] * 2
