"""What a run made plain shows in the types it writes, as reading them again would find out."""

import onnx
import pytest

import convgraph as cg
from convgraph.exporters.staged import serialised

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 3, 8, 7] x) => (float[A, B, C, D] y)'
MODELS = {
    "computed sizes": """{
        s = Shape (x)  two = Constant <value_ints = [2]> ()  h = Gather (s, two)
        one = Constant <value_ints = [1]> ()  n = Gather (s, zero)  zero = Constant <value_ints = [0]> ()
        sizes = Concat <axis = 0> (n, one, h, rest)  rest = Constant <value_ints = [21]> ()
        r = Reshape (x, sizes)  y = Relu (r)
    }""",
    "an operator without a class": """{
        s = Shape (x)  one = Constant <value_ints = [1]> ()  c = Gather (s, one)
        repeats = Concat <axis = 0> (one, one, c, one)  t = Tile (x, repeats)  y = Relu (t)
    }""",
}
SHAPES = {"computed sizes": ["N", 1, 8, 21], "an operator without a class": ["P", 3, 24, 7]}


def shape(value: onnx.ValueInfoProto) -> list[object]:
    return [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]


def model(name: str) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(f"{HEAD} {MODELS[name]}")
    inside = next(node.output[0] for node in proto.graph.node if node.op_type in ("Reshape", "Tile"))
    stated = onnx.helper.make_tensor_value_info(inside, onnx.TensorProto.FLOAT, list("PQRS"))
    proto.graph.value_info.append(stated)
    return proto


@pytest.mark.parametrize("name", MODELS)
def test_types_are_as_sharp_as_those_of_the_file_read_again(name: str) -> None:
    result = cg.optimize(model(name), level="clean")
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    (output,) = result.proto.graph.output
    (inside,) = result.proto.graph.value_info
    numbers = [size for size in SHAPES[name] if isinstance(size, int)]
    assert shape(inside) == SHAPES[name]
    assert shape(output)[1:] == numbers
    again = cg.optimize(result.proto, level="clean", verify=False)
    assert serialised(again.proto) == serialised(result.proto)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_rewrite_nothing_is_said_anew(name: str) -> None:
    plain = cg.optimize(model(name), passes=["none"], verify=False)
    assert serialised(plain.proto) == serialised(cg.to_onnx(cg.load(model(name))))
