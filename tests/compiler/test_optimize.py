"""The Python face of the main job."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest

import convgraph as cg
from convgraph.exporters.staged import serialised
from convgraph.importers.demo import demo_names
from convgraph.ir.ops import BatchNormalization, Conv, Op, Relu
from convgraph.numerics.session import run_model


def small(*, height: int | str = "H") -> cg.Graph:
    """A convolution, a normalisation, a Relu; N and H are symbols."""
    rng = np.random.default_rng(0)
    b = cg.GraphBuilder("small", opset=17)
    x = b.input("x", shape=("N", 3, height, 10))
    y = b.add(Conv.of(2, pads=1), x, rng.normal(size=(4, 3, 3, 3)).astype(np.float32), name="convolved")
    vectors = [rng.uniform(0.5, 2, 4).astype(np.float32) for _ in range(4)]
    y = b.add(BatchNormalization(), y, *vectors, name="normed")
    b.output(b.add(Relu(), y), name="y")
    return b.build()


@pytest.mark.parametrize("name", demo_names())
def test_every_demo_is_optimized_and_equal(name: str) -> None:
    result = cg.optimize(f"demo:{name}", trials=1)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert result.changed
    onnx.checker.check_model(result.proto, full_check=True)


def test_a_graph_is_left_untouched_and_protos_go_in_and_out() -> None:
    graph = small()
    before = serialised(cg.to_onnx(graph))
    result = cg.optimize(graph)
    assert serialised(cg.to_onnx(graph)) == before
    proto = cg.to_onnx(cg.optimize(cg.to_onnx(graph)).graph)
    assert serialised(proto) == serialised(result.proto)
    assert [node.op_type for node in proto.graph.node] == ["Conv", "Relu"]


def test_every_kind_of_source(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    cg.save(small(), path)
    data = path.read_bytes()
    results = [cg.optimize(source, verify=False) for source in (path, str(path), data, io.BytesIO(data))]
    assert len({serialised(result.proto) for result in results}) == 1
    assert results[0].model.path == str(path)


def test_shapes_are_fixed_by_name() -> None:
    result = cg.optimize(small(), input_shapes={"x": [2, 3, 8, 10]})
    assert result.graph.type(result.graph.inputs[0]).static_shape == (2, 3, 8, 10)
    assert result.graph.type(result.graph.outputs[0]).static_shape == (2, 4, 8, 10)
    assert result.verification is not None
    assert result.verification.equal


def test_the_graph_is_cut_at_values() -> None:
    result = cg.optimize(small(), inputs=["convolved"], outputs=["normed"])
    assert [result.graph.value_name(v) for v in (*result.graph.inputs, *result.graph.outputs)] == [
        "convolved",
        "normed",
    ]
    assert result.verification is not None
    assert result.verification.equal


def test_stop_after_counts_applications() -> None:
    whole = cg.optimize(small(), verify=False)
    first = cg.optimize(small(), stop_after=1, verify=False)
    assert first.trace.applications == whole.trace.applications[:1]
    assert [node.op_type for node in first.proto.graph.node] == ["Conv", "Relu"]


def test_fusing_alone_changes_no_file() -> None:
    once = cg.optimize(small(), verify=False)
    assert once.changed
    again = cg.optimize(once.proto, verify=False)
    assert [a.rewrite for a in again.trace.applications] == ["fuse-activation-into-conv"]
    assert not again.changed


@dataclass(frozen=True, kw_only=True)
class ForgetTheRelu(cg.Rewrite[cg.Value]):
    """A wrong rewrite."""

    name: ClassVar[str] = "forget-the-relu"
    roots: ClassVar[tuple[type[Op], ...]] = (Relu,)

    def find(self, graph: cg.Graph, node: int) -> cg.Value | None:
        """Any Relu."""
        return graph.operand(node, 0)

    def apply(self, edit: cg.Edit, match: cg.Value) -> None:
        """Read what it reads instead."""
        (use,) = edit.graph.readers(match)
        edit.replace(cg.Value(use.node, 0), match)


def test_a_wrong_rewrite_is_found_out() -> None:
    result = cg.optimize(small(), passes=[ForgetTheRelu()], stop_after=1)
    assert result.verification is not None
    assert result.verification.status == "different"
    with pytest.raises(cg.NotEquivalent, match="y"):
        result.verification.raise_if_different()


def test_initializers_a_caller_may_override_are_frozen_only_on_request() -> None:
    b = cg.GraphBuilder("overridable", opset=17)
    x = b.input("x", shape=("N", 3, 9, 10))
    weight = b.overridable("weight", np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32))
    b.output(
        b.add(BatchNormalization(), b.add(Conv.of(2), x, weight), *[np.ones(4, np.float32)] * 4), name="y"
    )
    kept = cg.optimize(b.build())
    assert [(refusal.rewrite, refusal.requirement) for refusal in kept.trace.refusals] == [
        ("fold-batchnorm-into-conv", "the_weights_are_constant"),
        ("transform-conv-into-winograd", "the_weights_are_constant"),
    ]
    assert [i.name for i in kept.proto.graph.input] == ["x", "weight"]
    frozen = cg.optimize(b.build(), freeze_defaults=True)
    assert [node.op_type for node in frozen.proto.graph.node] == ["Conv"]
    assert [i.name for i in frozen.proto.graph.input] == ["x"]
    assert frozen.verification is not None
    assert frozen.verification.equal


def test_a_round_trip_gives_the_same_bits() -> None:
    proto = cg.to_onnx(small())
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 3, 7, 10)).astype(np.float32)}
    same = cg.optimize(proto, passes=["none"], verify=False)
    assert not same.changed
    assert run_model(same.proto, feeds)["y"].tobytes() == run_model(proto, feeds)["y"].tobytes()
