"""Each rule of lint finds what it is for and stays silent on the nearest thing that is fine."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from convgraph.analysis.finding import Finding
from convgraph.analysis.lint import lint
from convgraph.importers.demo import demo
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Add,
    BatchNormalization,
    Cast,
    Conv,
    ConvTranspose,
    MaxPool,
    Mul,
    Op,
    Relu,
)
from convgraph.ir.tensor import Array, DataType, Dim


def reals(*shape: int) -> Array:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def one(op: Op, weight: Array, bias: Array | None = None, *, size: tuple[Dim, ...] = (9, 7)) -> Graph:
    """A graph of one convolution called ``conv``."""
    b = GraphBuilder("one")
    per_group = weight.shape[1] if isinstance(op, Conv) else weight.shape[0]
    group = op.group if isinstance(op, Conv) else 1
    x = b.input("x", shape=("N", per_group * group, *size))
    b.output(b.add(op, x, weight, *([] if bias is None else [bias]), node="conv"), name="y")
    return b.build()


def found(graph: Graph, rule: str) -> list[Finding]:
    return [finding for finding in lint(graph) if finding.rule == rule]


def test_nothing_to_say() -> None:
    assert lint(one(Conv.of(2, pads=1), reals(8, 3, 3, 3), reals(8))) == ()
    assert lint(demo("resnet")) == ()


# ---- dead and duplicate channels ----


def test_dead_channels() -> None:
    weight, bias = reals(5, 3, 3, 3), reals(5)
    weight[[1, 3, 4]], bias[[1, 4]] = 0, 0
    (finding,) = found(one(Conv.of(2), weight, bias), "dead-channels")
    assert (finding.where, finding.what.split(" are")[0]) == ("conv", "2 of 5 output channels (1, 4)")
    (finding,) = found(one(Conv.of(2), weight), "dead-channels")
    assert "3 of 5 output channels (1, 3, 4)" in finding.what


def test_dead_channels_of_a_transposed_convolution() -> None:
    weight = reals(4, 3, 2, 2)
    weight[2] = 0  # an input channel that is ignored is no output channel that is dead
    assert not found(one(ConvTranspose.of(2), weight), "dead-channels")
    weight[:, 2] = 0
    (finding,) = found(one(ConvTranspose.of(2), weight), "dead-channels")
    assert "1 of 3 output channels (2)" in finding.what
    weight = reals(4, 3, 2, 2)
    weight[2:, 1] = 0  # second group's second
    (finding,) = found(one(ConvTranspose.of(2, group=2), weight), "dead-channels")
    assert "1 of 6 output channels (4)" in finding.what


def test_duplicate_channels() -> None:
    weight, bias = reals(6, 3, 3, 3), np.zeros(6, np.float32)
    weight[4], weight[5] = weight[1], weight[1]
    (finding,) = found(one(Conv.of(2), weight, bias), "duplicate-channels")
    assert "2 of 6 output channels (4, 5)" in finding.what
    assert "(4 = 1, 5 = 1)" in finding.what
    bias[5] = 1
    (finding,) = found(one(Conv.of(2), weight, bias), "duplicate-channels")
    assert "(4 = 1)" in finding.what


def test_equal_filters_of_different_groups_differ() -> None:
    weight = np.ones((4, 1, 3, 3), np.float32)
    assert not found(one(Conv.of(2, group=4), weight), "duplicate-channels")
    assert found(one(Conv.of(2, group=2), weight), "duplicate-channels")


def test_zeros_of_either_sign_are_alike() -> None:
    weight = reals(2, 1, 1, 2)
    weight[0], weight[1] = [0.0, 1], [-0.0, 1]
    assert found(one(Conv.of(2), weight), "duplicate-channels")


# ---- dead taps ----


def test_dead_taps() -> None:
    weight = reals(4, 3, 5, 3)
    weight[:, :, 3:] = 0
    (finding,) = found(one(Conv.of(2), weight), "dead-taps")
    assert finding.what == "filters of 5x3 are zero outside 3x3: 40% of the multiplications are by zero"
    assert finding.rewrite == "crop-dead-taps"
    weight[0, 1, 4, 2] = 1
    assert not found(one(Conv.of(2), weight), "dead-taps")
    assert not found(one(Conv.of(2), np.zeros((4, 3, 3, 3), np.float32)), "dead-taps")


def test_dead_taps_behind_a_mask() -> None:
    """Masked convolution of type A: the centre and what comes after it are unseen."""
    mask = np.ones((1, 1, 3, 3), np.float32)
    mask[..., 1, 1:], mask[..., 2, :] = 0, 0
    b = GraphBuilder("masked")
    x = b.input("x", shape=(1, 2, 6, 5))
    b.output(b.add(Conv.of(2, pads=1), x, b.add(Mul(), b.constant(reals(4, 2, 3, 3)), mask)))
    (finding,) = found(b.build(), "dead-taps")
    assert "3x3 are zero outside 2x3" in finding.what


# ---- biases, padding ----


def test_bias_before_a_normalisation() -> None:
    def network(*, bias: bool, between: bool = False) -> Graph:
        b = GraphBuilder("bn")
        operands = [reals(4, 3, 3, 3), *([reals(4)] if bias else [])]
        y = b.add(Conv.of(2), b.input("x", shape=(1, 3, 9, 7)), *operands, node="conv")
        y = b.add(Relu(), y) if between else y
        b.output(b.add(BatchNormalization(), y, *(np.ones(4, np.float32),) * 4, node="norm"))
        return b.build()

    (finding,) = found(network(bias=True), "bias-before-norm")
    assert (finding.where, "norm" in finding.what) == ("conv", True)
    assert finding.rewrite == "fold-batchnorm-into-conv"
    assert not found(network(bias=False), "bias-before-norm")
    assert not found(network(bias=True, between=True), "bias-before-norm")


def same(size: tuple[Dim, ...]) -> Graph:
    op = Conv(strides=(2, 2), pads=(0,) * 4, dilations=(1, 1), auto_pad="SAME_UPPER")
    return one(op, reals(4, 3, 3, 3), size=size)


def test_same_padding_of_open_sizes() -> None:
    (finding,) = found(same(("H", "W")), "same-padding")
    assert "SAME_UPPER at stride 2" in finding.what
    assert finding.options == ("--input-shape", "x:1,3,64,64")


@pytest.mark.parametrize(
    ("pads", "differs"),
    [((0, 0, 1, 1), True), ((1, 1, 1, 2), True), ((1, 1, 1, 1), False), ((2, 0, 0, 0), False)],
)
def test_same_padding_written_out(pads: tuple[int, ...], differs: bool) -> None:
    assert bool(found(one(Conv.of(2, strides=2, pads=pads), reals(4, 3, 3, 3)), "same-padding")) is differs
    b = GraphBuilder("pool")
    b.output(b.add(MaxPool.of((3, 3), strides=2, pads=pads), b.input("x", shape=(1, 3, 8, 6))))
    assert bool(found(b.build(), "same-padding")) is differs


# ---- the runtime ----


@pytest.mark.parametrize(
    ("op", "weight", "fits"),
    [
        (Conv.of(2), (5, 3, 3, 3), True),  # few channels are read as they are
        (Conv.of(2), (5, 12, 3, 3), True),
        (Conv.of(2), (5, 10, 3, 3), False),
        (Conv.of(2, group=12), (12, 1, 3, 3), True),
        (Conv.of(2, group=10), (10, 1, 3, 3), False),
        (Conv.of(2, group=8), (16, 1, 3, 3), False),
        (Conv.of(2, group=2), (16, 8, 3, 3), True),
        (Conv.of(2, group=2), (8, 8, 3, 3), False),
        (Conv.of(2, group=4), (32, 4, 3, 3), False),
        (Conv.of(1), (5, 10, 3), True),  # 1-D never goes in blocks: no count would help
    ],
)
def test_channel_counts_off_the_fast_path(op: Conv, weight: tuple[int, ...], fits: bool) -> None:
    size: tuple[Dim, ...] = (9, 7)[: op.spatial_rank]
    findings = found(one(op, reals(*weight), size=size), "fast-path")
    assert bool(findings) is not fits
    assert all("NCHWc" in finding.what and finding.where == "conv" for finding in findings)


def test_weights_that_are_not_constant() -> None:
    def network(kind: str) -> Graph:
        b = GraphBuilder("weights")
        x, data = b.input("x", shape=(1, 3, 9, 7)), reals(4, 3, 3, 3)
        weight = {
            "overridable": lambda: b.overridable("w", data),
            "input": lambda: b.input("w", shape=data.shape),
            "computed": lambda: b.add(Add(), b.constant(data), data),
        }[kind]()
        b.output(b.add(Conv.of(2), x, weight))
        return b.build()

    assert found(network("overridable"), "fast-path")[0].options == ("--freeze-defaults",)
    assert found(network("computed"), "fast-path")[0].rewrite == "fold-constants"
    (outside,) = found(network("input"), "fast-path")
    assert (outside.rewrite, outside.options) == (None, ())


# ---- wide types ----


def test_float64() -> None:
    b = GraphBuilder("double")
    y = b.add(Cast(to=DataType.DOUBLE), b.input("x", shape=(2, 3)), node="widened")
    b.output(b.add(Cast(to=DataType.FLOAT), b.add(Relu(), y)))
    (finding,) = lint(b.build())
    assert (finding.rule, finding.where) == ("float64", "widened")
    assert finding.what.startswith("2 operations in float64")


def test_int64() -> None:
    b = GraphBuilder("wide")
    x = b.input("x", shape=(20, 30), dtype=DataType.INT64)
    sizes = b.input("sizes", shape=(2,), dtype=DataType.INT64)
    b.output(b.add(Cast(to=DataType.FLOAT), b.add(Add(), x, x, node="data")))
    b.output(b.add(Cast(to=DataType.FLOAT), b.add(Add(), sizes, sizes, node="size")))
    small, large = found(b.build(), "int64")
    assert (small.where, "of sizes" in small.what) == ("size", True)
    assert (large.where, "int64 data" in large.what) == ("data", True)


# ---- bodies ----


def test_bodies_are_looked_into() -> None:
    """A branch with an open SAME convolution: its weight is captured, and no option reaches it."""
    make = helper.make_tensor_value_info
    conv = helper.make_node("Conv", ["x", "w"], ["y"], name="inside", auto_pad="SAME_UPPER", strides=[2, 2])
    y = make("y", TensorProto.FLOAT, ["N", 4, None, None])
    branches = {name: helper.make_graph([conv], name, [], [y]) for name in ("then_branch", "else_branch")}
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("If", ["c"], ["y"], **branches)],
            "outer",
            [make("c", TensorProto.BOOL, []), make("x", TensorProto.FLOAT, ["N", 10, "H", "W"])],
            [y],
            [numpy_helper.from_array(np.zeros((4, 10, 3, 3), np.float32), "w")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    findings = lint(from_onnx(model))
    assert [(finding.rule, finding.where) for finding in findings] == [("same-padding", "inside")] * 2
    assert {(finding.rewrite, finding.options) for finding in findings} == {(None, ())}


def test_a_finding_has_everything() -> None:
    for name in ("unet", "pixelcnn", "glow"):
        findings = lint(demo(name))
        assert findings
        for finding in findings:
            assert all((finding.rule, finding.where, finding.what, finding.remedy))
