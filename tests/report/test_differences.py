"""What changed between two graphs."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from convgraph.importers.demo import demo
from convgraph.ir.build import GraphBuilder
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import BatchNormalization, Clip, Conv, Identity, Opaque, Relu
from convgraph.ir.tensor import Array, DataType, TensorType
from convgraph.report.changes import render_differences
from convgraph.report.differences import Difference, diff


def weight(*, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(5, 3, 2, 2)).astype(np.float32)


def vector(value: float) -> Array:
    return np.full(5, value, np.float32)


def net(
    *,
    op: Conv | None = None,
    kernel: Array | None = None,
    high: float = 6.0,
    named: bool = True,
    opset: int = 21,
) -> Graph:
    """Convolution, normalisation, clip."""
    b = GraphBuilder("net", opset=opset)
    x = b.input("x", shape=("N", 3, 8, 7))
    c = b.add(op or Conv.of(2), x, weight() if kernel is None else kernel, name="c", node="conv" * named)
    n = b.add(BatchNormalization(), c, *map(vector, (1, 2, 3, 4)), name="n", node="norm" * named)
    b.output(b.add(Clip(), n, 0.0, high, node="clip" * named), name="y")
    return b.build()


def folded(*, named: bool = True) -> Graph:
    """The same as a fold leaves it: the convolution makes the normalisation's value, with another weight."""
    b = GraphBuilder("net", opset=21)
    x = b.input("x", shape=("N", 3, 8, 7))
    n = b.add(Conv.of(2), x, weight(seed=1), vector(2), name="n", node="conv" * named)
    b.output(b.add(Clip(), n, 0.0, 6.0, node="clip" * named), name="y")
    return b.build()


def brief(differences: list[Difference]) -> list[tuple[str, str, str]]:
    return [(d.kind, d.name, d.label) for d in differences]


def text(differences: list[Difference], **options: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, markup=False)
    console.print(render_differences(differences, **options))  # type: ignore[arg-type]  # report=… only
    return out.getvalue()


@pytest.mark.parametrize("build", [net, folded, lambda: demo("glow")])
def test_a_graph_does_not_differ_from_itself_built_again(build: Callable[[], Graph]) -> None:
    assert diff(build(), build()) == []
    assert "no difference" in text([])


def test_a_fold_takes_a_node_away_and_changes_the_convolution() -> None:
    changed, removed = diff(net(), folded())
    assert brief([changed, removed]) == [
        ("changed", "conv", "Conv"),
        ("removed", "norm", "BatchNormalization"),
    ]
    filter_, bias, results = changed.details
    old, new = filter_.removeprefix("weight: ").split(" -> ")
    assert old.startswith("float32[5, 3, 2, 2] ")
    assert new.startswith("float32[5, 3, 2, 2] ")
    assert old != new
    assert bias == "bias: none -> constant float32[5]"
    assert results == "results: c -> n"
    assert changed.names == {"conv", "c", "n"}


def test_without_node_names_the_convolution_takes_over_the_result() -> None:
    removed, changed = diff(net(named=False), folded(named=False))
    assert brief([removed, changed]) == [("removed", "c", "Conv"), ("changed", "n", "Conv")]
    assert changed.details[0] == "operation: BatchNormalization -> Conv"


def test_the_way_back_is_an_addition() -> None:
    assert [d.kind for d in diff(folded(), net())] == ["changed", "added"]


def test_an_attribute() -> None:
    interface, convolution = diff(net(), net(op=Conv.of(2, strides=(1, 2), pads=1)))
    assert brief([interface, convolution]) == [("changed", "net", "model"), ("changed", "conv", "Conv")]
    assert convolution.details == (
        "strides: (1, 1) -> (1, 2)",
        "pads: (0, 0, 0, 0) -> (1, 1, 1, 1)",
    )


def test_a_fused_activation() -> None:
    fused = Conv(strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), activation=Relu())
    (changed,) = diff(net(), net(op=fused))
    assert (changed.label, changed.details) == ("Conv+Relu", ("activation: None -> Relu",))


def test_a_constant_of_the_same_type_by_its_contents() -> None:
    (changed,) = diff(net(), net(high=5.0))
    assert changed.name == "clip"
    (detail,) = changed.details
    assert detail.startswith("high: float32[] ")


def test_one_element_among_many() -> None:
    other = weight().copy()
    other[4, 2, 1, 1] = np.nextafter(other[4, 2, 1, 1], np.float32(9))
    assert brief(diff(net(), net(kernel=other))) == [("changed", "conv", "Conv")]


def test_an_operand_by_its_name() -> None:
    before = net()
    after = before.copy()
    clip = after.outputs[0].node
    Edit(after).rewire(next(use for use in after.readers(after.value("n"))), after.value("c"))
    (changed,) = diff(before, after)
    assert (changed.name, changed.details) == ("clip", ("x: n -> c",))
    assert clip in after


def test_an_added_node() -> None:
    before = net()
    after = before.copy()
    edit = Edit(after)
    edit.rewire(after.readers(after.value("n"))[0], edit.add(Identity(), after.value("n"), name="copied"))
    assert brief(diff(before, after)) == [("changed", "clip", "Clip"), ("added", "copied", "Identity")]


def test_the_interface() -> None:
    before, after = net(), net(opset=22)
    Edit(after).replace(after.outputs[0], after.value("n"))
    interface = diff(before, after)[0]
    assert (interface.kind, interface.label) == ("changed", "model")
    assert interface.details[0] == "opset: 21 -> 22"


def defaults(value: float) -> Graph:
    b = GraphBuilder("defaults")
    x = b.input("x", shape=(1, 3, 8, 7))
    b.output(b.add(Conv.of(2), x, b.overridable("w", np.full((5, 3, 2, 2), value, np.float32))), name="y")
    return b.build()


def test_an_overridable_initializer_by_its_default() -> None:
    assert diff(defaults(1.0), defaults(1.0)) == []
    (interface,) = diff(defaults(1.0), defaults(2.0))
    assert interface.details[0].startswith("inputs: ")


def control(*, high: float, encoded: bytes = b"a") -> Graph:
    b = GraphBuilder("control")
    condition = b.input("condition", shape=(), dtype=DataType.BOOL)
    op = Opaque(op_type="If", arity=1, encoded={"hint": encoded}, subgraphs={"then_branch": net(high=high)})
    (y,) = b.add_all(op, condition, names=("y",), types=[TensorType(DataType.FLOAT)])
    b.output(y)
    return b.build()


def test_what_is_inside_control_flow_and_attributes_without_a_class() -> None:
    assert diff(control(high=6.0), control(high=6.0)) == []
    (inside,) = diff(control(high=6.0), control(high=5.0))
    assert inside.details == ("then_branch: 1 differences inside",)
    (attribute,) = diff(control(high=6.0), control(high=6.0, encoded=b"b"))
    assert attribute.details == ("hint: another value",)


def repeated(*, high: float) -> Graph:
    """Two nodes of one name, as ONNX allows."""
    b = GraphBuilder("repeated")
    x = b.add(Clip(), b.input("x", shape=(3, 5)), 0.0, 1.0, name="a", node="same")
    b.output(b.add(Clip(), x, 0.0, high, node="same"), name="b")
    return b.build()


def test_node_names_that_repeat_mislead_nobody() -> None:
    (changed,) = diff(repeated(high=1.0), repeated(high=2.0))
    assert changed.names == {"same", "b"}


REPORT = {
    "rewrites": [
        {"index": 4, "name": "fold-batchnorm-into-conv", "took": ["norm", "conv"], "made": ["conv"]},
        {"index": 5, "name": "fuse-activation-into-conv", "took": ["clip"], "made": []},
    ]
}


def test_the_table_and_which_rewrite_did_it() -> None:
    differences = diff(net(), folded())
    plain, told = text(differences), text(differences, report=REPORT)
    assert "bias: none -> constant float32[5]" in plain
    assert "fold-batchnorm" not in plain
    removed = next(line.split() for line in told.splitlines() if line.startswith("removed"))
    assert removed == ["removed", "norm", "BatchNormalization", "4", "fold-batchnorm-into-conv"]
    assert "from conv, norm" in told
    assert told.splitlines()[-1] == "1 of 1 removed nodes accounted for"
    assert "accounted" not in plain
