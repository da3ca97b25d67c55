"""Small files that ask for any amount of time or memory, or cannot run at all: one line at most."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from convgraph import load, optimize
from convgraph.cli.main import main
from convgraph.errors import CannotRun
from convgraph.importers import onnx_apart
from convgraph.numerics import contained

HUGE = 1 << 33  # elements: as a vector of sizes it takes all the memory of a machine


def int64(values: ArrayLike, name: str) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def value(name: str, *shape: int | str, code: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, code, shape)


def model(
    nodes: Sequence[NodeProto],
    *constants: TensorProto,
    inputs: Sequence[ValueInfoProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> ModelProto:
    """A model of nodes from ``x`` (2), unless it has other inputs, to ``y``."""
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", inputs or [value("x", 2)], [result], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions)


def shaped_by(maker: NodeProto, *constants: TensorProto) -> ModelProto:
    """x expanded to sizes that a node makes."""
    return model([maker, helper.make_node("Expand", ["x", maker.output[0]], ["y"])], *constants)


def range_of_sizes() -> ModelProto:
    numbers = [int64(0, "a"), int64(HUGE, "b"), int64(1, "c")]
    return shaped_by(helper.make_node("Range", ["a", "b", "c"], ["sizes"]), *numbers)


def filled_sizes() -> ModelProto:
    ones = helper.make_node("ConstantOfShape", ["n"], ["sizes"], value=int64([1], "one"))
    return shaped_by(ones, int64([HUGE], "n"))


def long_input() -> ModelProto:
    inputs = [value("x", 2), value("sizes", HUGE, code=TensorProto.INT64)]
    return model([helper.make_node("Reshape", ["x", "sizes"], ["y"])], inputs=inputs)


def doubled_sizes() -> ModelProto:
    names = ["sizes", *(f"twice{n}" for n in range(60))]
    nodes = [helper.make_node("Concat", [old, old], [new], axis=0) for old, new in pairwise(names)]
    return model([*nodes, helper.make_node("Expand", ["x", names[-1]], ["y"])], int64([1, 1], "sizes"))


def squared_sizes() -> ModelProto:
    """Sizes that, as Python's numbers, would have more digits than there is memory."""
    names = [f"n{n}" for n in range(80)]
    nodes = [helper.make_node("Mul", [old, old], [new]) for old, new in pairwise(names)]
    ends = [helper.make_node("Shape", ["x"], ["n0"]), helper.make_node("Expand", ["x", names[-1]], ["y"])]
    return model([ends[0], *nodes, ends[1]])


def tiled_vector() -> ModelProto:
    few = numpy_helper.from_array(np.ones(4, np.float32), "few")
    nodes = [helper.make_node("Tile", ["few", "n"], ["many"]), helper.make_node("Add", ["x", "many"], ["y"])]
    return model(nodes, few, int64([1 << 30], "n"), inputs=[value("x", 1)])


def many_pieces() -> ModelProto:
    return model([helper.make_node("Split", ["x"], ["y"], num_outputs=1 << 40)])


def endless_scale() -> ModelProto:
    scales = numpy_helper.from_array(np.array([1, 1, 2, np.inf], np.float32), "scales")
    return model(
        [helper.make_node("Resize", ["x", "", "scales"], ["y"])], scales, inputs=[value("x", 1, 1, 2, 3)]
    )


def far_window() -> ModelProto:
    """A pool of four numbers over 32 GB of padding."""
    few = numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "few")
    size = 1 << 15
    window = {"kernel_shape": [size] * 2, "strides": [size] * 2, "pads": [size - 1] * 4}
    pool = helper.make_node("AveragePool", ["few"], ["one"], count_include_pad=1, **window)
    return model([pool, helper.make_node("Add", ["x", "one"], ["y"])], few)


def calling_itself() -> ModelProto:
    call = helper.make_node("F", ["a"], ["b"], domain="own")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "F", ["a"], ["b"], [call], opsets)
    return model([helper.make_node("F", ["x"], ["y"], domain="own")], functions=[function])


def huge_scale() -> ModelProto:
    scales = numpy_helper.from_array(np.array([1, 1, 2, 1e30], np.float32), "scales")
    return model(
        [helper.make_node("Resize", ["x", "", "scales"], ["y"])], scales, inputs=[value("x", 1, 1, 2, 3)]
    )


def no_operands() -> ModelProto:
    return model([helper.make_node("SequenceAt", [], ["one"]), helper.make_node("Add", ["x", "one"], ["y"])])


def nameless_attribute() -> ModelProto:
    node = helper.make_node("Celu", ["x"], ["y"])
    node.attribute.append(helper.make_attribute("", 3))
    return model([node])


def string_arithmetic() -> ModelProto:
    text = helper.make_tensor("text", TensorProto.STRING, [2], [b"abc", b"1"])
    nodes = [helper.make_node("Cast", ["text"], ["n"], to=1), helper.make_node("Add", ["x", "n"], ["y"])]
    return model(nodes, text)


def many_axes() -> ModelProto:
    one = TensorProto(name="one", data_type=TensorProto.FLOAT, dims=[1] * 1000, raw_data=bytes(4))
    return model([helper.make_node("Add", ["x", "one"], ["y"])], one)


def long_name() -> ModelProto:
    return model([helper.make_node("Relu", ["n" * 1_000_000], ["y"])])


def stored_in(location: str, **entries: str) -> ModelProto:
    """A weight in a file of its own."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=text)
    return model([helper.make_node("Add", ["x", "w"], ["y"])], weight)


HOSTILE: dict[str, Callable[[], ModelProto]] = {
    "a range of sizes": range_of_sizes,
    "as many sizes as a constant says": filled_sizes,
    "an input of sizes": long_input,
    "sizes doubled sixty times": doubled_sizes,
    "sizes squared eighty times": squared_sizes,
    "a vector tiled": tiled_vector,
    "more pieces than results": many_pieces,
    "an infinite scale": endless_scale,
    "a window that reaches far": far_window,
    "a function that calls itself": calling_itself,
    "a scale beyond all sizes": huge_scale,
    "an operator without operands": no_operands,
    "an attribute without a name": nameless_attribute,
    "a cast from text": string_arithmetic,
    "a thousand axes": many_axes,
    "a name of a million characters": long_name,
    "external data in a circle of links": lambda: stored_in("loop"),
    "external data with a null in its name": lambda: stored_in("a\0b"),
    "external data in a pipe": lambda: stored_in("pipe"),
    "an offset of a thousand digits": lambda: stored_in("pipe", offset="9" * 5000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_model_is_imported_or_refused_at_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_apart, "SECONDS", 3)
    source, target = tmp_path / "m.onnx", tmp_path / "out.onnx"
    source.write_bytes(HOSTILE[kind]().SerializeToString())
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    start = time.monotonic()
    result = CliRunner().invoke(main, ["optimize", str(source), "-o", str(target), "-q", "--no-verify"])
    assert time.monotonic() - start < 30
    assert result.exit_code in (0, 2), result.output
    assert len(result.stderr.splitlines()) == (result.exit_code != 0)
    assert len(result.stderr) < 3000
    assert target.exists() == (result.exit_code == 0)
    if target.exists():
        assert target.stat().st_size < 3 << 20  # the limit is for each folded constant


def test_computed_sizes_are_followed_in_another_process() -> None:
    doubled = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Mul", ["sizes", "two"], ["double"]),
        helper.make_node("ConstantOfShape", ["double"], ["y"]),
    ]
    graph = load(model(doubled, int64([2, 2], "two"), inputs=[value("x", 4, 6)]))
    assert graph.type(graph.outputs[0]).shape == (8, 12)


def test_a_constant_made_of_nothing_stays_small(tmp_path: Path) -> None:
    """187 bytes of ConstantOfShape that stand for 16.8 MB."""
    nodes = [
        helper.make_node("ConstantOfShape", ["n"], ["zeros"]),
        helper.make_node("Add", ["x", "zeros"], ["y"]),
    ]
    source, target = tmp_path / "m.onnx", tmp_path / "out.onnx"
    onnx.save(model(nodes, int64([2048, 2048], "n"), inputs=[value("x", 1)]), source)
    assert source.stat().st_size < 200
    result = CliRunner().invoke(main, ["optimize", str(source), "-o", str(target)])
    assert result.exit_code == 0, result.output
    assert target.stat().st_size < 10_000


@pytest.mark.parametrize("shape", [(1 << 62, 4), (1,) * 100, ("N//0", 2), ("9" * 200, 2), ("(" * 300, 2)])
def test_an_input_that_cannot_be_made_is_said_in_one_line(
    shape: tuple[int | str, ...], tmp_path: Path
) -> None:
    source, target = tmp_path / "m.onnx", tmp_path / "out.onnx"
    onnx.save(model([helper.make_node("Neg", ["x"], ["y"])], inputs=[value("x", *shape)]), source)
    result = CliRunner().invoke(main, ["optimize", str(source), "-o", str(target), "-q"])
    assert result.exit_code in (0, 1), result.output
    assert len(result.stderr.splitlines()) == result.exit_code
    assert target.exists() == (result.exit_code == 0)


def test_a_model_that_cannot_run_is_the_models_own_fault() -> None:
    """Only computing the sizes shows that x cannot be expanded to them."""
    nodes = [
        helper.make_node("Mul", ["two", "zero"], ["sizes"]),
        helper.make_node("Expand", ["x", "sizes"], ["y"]),
    ]
    with pytest.raises(CannotRun, match="Expand y"):
        optimize(model(nodes, int64([2], "two"), int64([0], "zero")), verify=False)


def test_a_crash_while_a_constant_is_computed_leaves_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    fatal = int(signal.SIGSEGV)
    monkeypatch.setattr(contained, "run_model", lambda *_: os.kill(os.getpid(), fatal))
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    nodes = [
        helper.make_node("CumSum", ["one", "axis"], ["sums"]),
        helper.make_node("Add", ["x", "sums"], ["y"]),
    ]
    graph = optimize(model(nodes, one, int64(0, "axis")), verify=False).graph
    assert [graph.op(node).label for node in graph.compute_nodes()] == ["CumSum", "Add"]
