"""What leaves: fused activations, operations an opset lacks, files that are complete or absent."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from convgraph.errors import InvalidModel, UnsupportedOp
from convgraph.exporters.onnx_model import save, to_onnx
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Activation,
    Clip,
    Conv,
    ConvTranspose,
    Dropout,
    Gelu,
    HardSwish,
    LeakyRelu,
    Mish,
    Op,
    Pad,
    PRelu,
    Relu,
    Resize,
    Softmax,
    Split,
    Squeeze,
    Swish,
)
from convgraph.ir.tensor import DataType, Tensor

Run = Callable[[ModelProto, dict[str, Any]], list[Any]]


def weights(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def net(
    op: Op, *operands: Operand, opset: int, shape: tuple[int, ...] = (2, 6, 10, 8), count: int = 1
) -> Graph:
    """One operation on an input x, then the given operands; every result is an output."""
    b = GraphBuilder("net", opset=opset, ir_version=8)
    x = b.input("x", shape=shape)
    for index, value in enumerate(b.add_all(op, x, *operands, names=("y",) * count, node="node")):
        b.output(value, name="y" if index == 0 else f"y{index}")
    return b.build()


@pytest.mark.parametrize("kind", [Conv, ConvTranspose])
@pytest.mark.parametrize(
    ("activation", "parameters", "opset"),
    [
        (Relu(), (), 7),
        (LeakyRelu(alpha=0.3), (), 13),
        (Clip(), (np.float32(-0.5), np.float32(0.75)), 9),
        (Clip(), (np.float32(-0.5), np.float32(0.75)), 17),
        (PRelu(), (weights(4, 1, 1, seed=5),), 16),
        (Swish(alpha=1.5), (), 13),
        (Mish(), (), 20),
    ],
)
@pytest.mark.parametrize("bias", [None, weights(4, seed=3)])
def test_a_fused_activation_follows_its_convolution(
    kind: type[Conv], activation: Activation, parameters: tuple[Any, ...], opset: int, bias: Any, run: Run
) -> None:
    weight = weights(4, 6, 3, 2) if kind is Conv else weights(6, 4, 3, 2)
    plain = kind.of(2, strides=2, pads=1)
    fused = kind(strides=(2, 2), pads=(1,) * 4, dilations=(1, 1), activation=activation)
    b = GraphBuilder("net", opset=opset, ir_version=8)
    b.output(b.add(activation, b.add(plain, b.input("x", shape=(2, 6, 10, 8)), weight, bias), *parameters))
    apart = to_onnx(b.build())
    graph = net(fused, weight, bias, *parameters, opset=opset)
    together = to_onnx(graph)
    onnx.checker.check_model(together, full_check=True)
    assert together.graph.node[0].op_type == kind.__name__
    assert (together.graph.node[0].name, together.graph.node[0].output[0]) == (
        "node",
        f"y_{kind.__name__.lower()}",
    )
    assert list(together.graph.node[-1].output) == ["y"]
    feeds = {"x": np.random.default_rng(2).standard_normal((2, 6, 10, 8)).astype(np.float32)}
    (expected,), (found,) = run(apart, feeds), run(together, feeds)
    assert found.tobytes() == expected.tobytes()
    assert to_onnx(graph) == together


@pytest.mark.parametrize(
    ("op", "since", "earlier"),
    [
        (Swish(), 24, 13),
        (Swish(alpha=0.5), 24, 7),
        (HardSwish(), 14, 13),
        (Mish(), 18, 17),
        (Gelu(), 20, 13),
        (Gelu(approximate="tanh"), 20, 17),
    ],
)
def test_an_activation_is_spelled_out_for_an_opset_without_it(
    op: Op, since: int, earlier: int, run: Run
) -> None:
    feeds = {"x": np.linspace(-9, 9, 960, dtype=np.float32).reshape(2, 6, 10, 8)}
    found = to_onnx(net(op, opset=earlier))
    onnx.checker.check_model(found, full_check=True)
    whole = to_onnx(net(op, opset=since))
    assert [n.op_type for n in whole.graph.node] == [op.label]
    assert op.label not in {n.op_type for n in found.graph.node}
    (old,), (new,) = run(found, feeds), run(whole, feeds)
    # A few roundings of intermediate results, each at most half an ulp of 9.
    np.testing.assert_allclose(old, new, rtol=0, atol=8 * 2.0**-24 * 9)


REFUSED: dict[str, Graph] = {
    "resize half pixel in opset 10": net(
        Resize(mode="linear"), None, np.array([1, 1, 2, 2], np.float32), opset=10
    ),
    "softmax over channels in opset 11": net(Softmax(axis=1), opset=11),
    "wrap before 19": net(Pad(mode="wrap"), np.zeros(8, np.int64), opset=17),
    "uneven parts before 18": net(Split(axis=2, num_outputs=3), opset=13, count=3),
    "training dropout in opset 7": net(Dropout(), np.float32(0.5), np.bool_(1), opset=7),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_opset_cannot_say_is_refused_by_name(case: str) -> None:
    with pytest.raises(UnsupportedOp, match=r"^\w+ node: .* in opset"):
        to_onnx(REFUSED[case])


def test_a_computed_operand_is_refused_where_the_opset_has_an_attribute() -> None:
    b = GraphBuilder("net", opset=11, ir_version=8)
    x, axes = b.input("x", shape=(1, 6, 1, 8)), b.input("axes", shape=(1,), dtype=DataType.INT64)
    b.output(b.add(Squeeze(), x, axes, node="drop"), name="y")
    with pytest.raises(UnsupportedOp, match="Squeeze drop: axes that is not constant in opset 11"):
        to_onnx(b.build())


def test_an_absorbed_constant_is_written_only_when_something_else_reads_it() -> None:
    b = GraphBuilder("net", opset=9, ir_version=8)
    x, bound = b.input("x", shape=(2, 3)), b.constant(np.array(1.5, dtype=np.float32), name="bound")
    clipped = b.add(Clip(), x, None, bound, name="y")
    b.output(clipped)
    assert not to_onnx(b.build()).graph.initializer
    b.output(bound, name="bound")
    assert [t.name for t in to_onnx(b.build()).graph.initializer] == ["bound"]


def test_an_unread_constant_stays() -> None:
    b = GraphBuilder("net", opset=17)
    b.constant(weights(3), name="spare")
    b.output(b.add(Relu(), b.input("x", shape=(2,))), name="y")
    assert [t.name for t in to_onnx(b.build()).graph.initializer] == ["spare"]


def big_net() -> Graph:
    return net(Conv.of(2), weights(4, 6, 3, 2), weights(4), opset=17)


def test_a_file_holds_the_same_bytes_as_the_message(tmp_path: Path) -> None:
    path, stream = tmp_path / "m.onnx", io.BytesIO()
    save(big_net(), path)
    save(big_net(), stream)
    assert path.read_bytes() == stream.getvalue() == to_onnx(big_net()).SerializeToString(deterministic=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")

    def broken() -> Any:
        raise OSError("disk on fire")

    b = GraphBuilder("net", opset=17)
    data = Tensor.deferred(broken, dtype=DataType.FLOAT, shape=(40, 50))
    b.output(b.add(Relu(), b.constant(data)), name="y")
    for external in ("never", "always"):
        with pytest.raises(OSError, match="disk on fire"):
            save(b.build(), path, external_data=external)  # type: ignore[arg-type]  # a loop over the choices
    with pytest.raises(UnsupportedOp):
        save(REFUSED["wrap before 19"], path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("m.onnx", b"old")]


def test_a_stream_takes_no_external_data() -> None:
    with pytest.raises(InvalidModel, match="stream: external data"):
        save(big_net(), io.BytesIO(), external_data="always")


def test_export_asks_for_the_data_of_no_graph_twice_and_changes_nothing() -> None:
    graph = big_net()
    first = to_onnx(graph)
    names = [graph.value_name(v) for n in graph.nodes() for v in graph.results(n)]
    assert to_onnx(graph).SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)
    assert [graph.value_name(v) for n in graph.nodes() for v in graph.results(n)] == names


def test_an_older_ir_version_is_raised_to_the_first_with_free_initializers() -> None:
    w = numpy_helper.from_array(weights(4, 6, 3, 2), "w")
    nodes = [onnx.helper.make_node("Conv", ["x", "w"], ["y"])]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [info("x", 1, [2, 6, 10, 8]), info("w", 1, [4, 6, 3, 2])],
        [info("y", 1, [2, 4, 8, 7])],
        [w],
    )
    old = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 7)], ir_version=3)
    result = to_onnx(from_onnx(old))
    assert result.ir_version == 4
    assert [v.name for v in result.graph.input] == ["x"]


def test_an_edited_graph_exports_under_its_new_names() -> None:
    graph = from_onnx(to_onnx(big_net()))
    (node,) = graph.compute_nodes()
    edit = Edit(graph, near=node)
    edit.replace(graph.outputs[0], edit.add(Relu(), graph.results(node)[0]))
    result = to_onnx(graph)
    onnx.checker.check_model(result, full_check=True)
    assert [n.op_type for n in result.graph.node] == ["Conv", "Relu"]
    assert list(result.graph.node[1].output) == ["y"]


def test_node_names_are_unique_in_the_file(run: Run) -> None:
    b = GraphBuilder("net", opset=17, ir_version=8)
    x = b.input("x", shape=(2, 3))
    for name in ("a", "b"):
        b.output(b.add(Swish(), b.add(Relu(), x, node="same"), node="same_sigmoid"), name=name)
    result = to_onnx(b.build())
    names = [n.name for n in result.graph.node]
    assert len(set(names)) == len(names) == 6
    assert names[0] == "same"
    feeds = {"x": np.array([[-1, 0, 2], [3, -4, 5]], dtype=np.float32)}
    left, right = run(result, feeds)
    assert left.tobytes() == right.tobytes()


def test_a_fused_activation_is_written_under_its_old_names() -> None:
    b = GraphBuilder("net", opset=17, ir_version=8)
    conv = b.add(Conv.of(2), b.input("x", shape=(2, 6, 10, 8)), weights(4, 6, 3, 2), name="mid", node="c")
    b.output(b.add(Relu(), conv, name="y", node="r"), name="y")
    before = to_onnx(b.build())
    before.graph.node[1].doc_string = "rectify"
    before.graph.value_info.append(onnx.helper.make_tensor_value_info("mid", 1, [2, 4, 8, 7]))
    graph = from_onnx(before)
    conv_node, relu = graph.compute_nodes()
    edit = Edit(graph, near=relu)
    op = Conv(strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), activation=Relu())
    fused = edit.add(op, *graph.operands(conv_node), like=conv_node, fused=relu)
    edit.replace(graph.outputs[0], fused)
    edit.sweep()
    assert len(list(graph.compute_nodes())) == 1
    assert to_onnx(graph) == before
