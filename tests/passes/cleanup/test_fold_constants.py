"""Tables for fold-constants."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from laws.draw import Draw

from convgraph.compiler.runtime import NodeRuntime
from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import (
    Add,
    Concat,
    Conv,
    Dropout,
    Exp,
    Expand,
    MatMul,
    Mul,
    Neg,
    Op,
    Pad,
    Reshape,
    Transpose,
)
from convgraph.ir.tensor import Array
from convgraph.passes import Pipeline
from convgraph.passes.cleanup.fold_constants import FoldConstants

OPTIONS = {"size_limit": 256, "runtime": NodeRuntime()}


def of_constants(op: Op, *arrays: Array) -> Graph:
    """x plus an operation on constants."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, 9, 9))
    y = b.add(op, *(b.constant(array) for array in arrays), name="c")
    b.output(b.add(Add(), x, y), name="y")
    return b.build()


def mask_arithmetic(draw: Draw) -> Graph:
    """A chain: weight times mask, transposed, negated."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, "H", "W"))
    product = b.add(Mul(), b.constant(draw.weight(1, 3, 1, 1)), b.constant(np.ones((1, 3, 1, 1), np.float32)))
    turned = b.add(Transpose(perm=(0, 1, 3, 2)), product)
    b.output(b.add(Add(), x, b.add(Neg(), turned)), name="y")
    return b.build()


def to_the_output(draw: Draw) -> Graph:
    """The folded value is itself a graph output."""
    b = GraphBuilder("g", opset=17)
    b.output(b.add(Exp(), b.input("x", shape=(2, "W"))), name="y")
    b.output(b.add(Neg(), b.constant(draw.weight(2, 3))), name="z")
    return b.build()


def from_text(text: str) -> Graph:
    """A graph from ONNX's own text form, for operations that have no class here."""
    return from_onnx(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'))


def left_to_the_runtime(draw: Draw) -> Graph:
    """CumSum, which only the runtime can compute."""
    del draw
    return from_text(
        "g (float[3, W] x) => (float[3, W] y) <float[3, 1] w = {1, 2, 3}, int64[1] axis = {0}>"
        "{ c = CumSum(w, axis) y = Add(x, c) }"
    )


def random(draw: Draw) -> Graph:
    """Random numbers, new ones at every run."""
    del draw
    return from_text(
        "g (float[3, W] x) => (float[3, W] y) <float[3, 1] w = {1, 2, 3}>"
        "{ c = RandomNormalLike <dtype = 1> (w) y = Add(x, c) }"
    )


def training_dropout(draw: Draw) -> Graph:
    """A Dropout in training mode."""
    data, ratio, mode = np.abs(draw.factor(1, 3, 4, 5)), np.full((), 0.5, np.float32), np.array(1, bool)
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, 4, 5))
    c = b.add(Dropout(), *(b.constant(array) for array in (data, ratio, mode)), name="c")
    b.output(b.add(Add(), x, c), name="y")
    return b.build()


def custom(draw: Draw) -> Graph:
    """An operation of a domain nobody here knows."""
    del draw
    return from_onnx(
        onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 17, "my.domain" : 1]>'
            "g (float[3, W] x) => (float[3, W] y) <float[3, 1] w = {1, 2, 3}>"
            "{ c = my.domain.Mystery(w) y = Add(x, c) }"
        )
    )


def stored_quantised(draw: Draw) -> Graph:
    """Dequantised weights, with which a runtime no longer finds its quantised operations."""
    del draw
    weights = ", ".join(str(i % 7 - 3) for i in range(108))
    return from_text(
        f"g (float[3, 108, W] x) => (float[3, 108, W] y) <int8[108, 1] w = {{{weights}}}, float s = {{0.5}}>"
        "{ c = DequantizeLinear(w, s) y = Add(x, c) }"
    )


def not_implemented(draw: Draw) -> Graph:
    """CumSum of unsigned numbers, which the runtime cannot compute."""
    del draw
    return from_text(
        "g (uint32[3, W] x) => (uint32[3, W] y) <uint32[3, 1] w = {1, 2, 3}, int64[1] axis = {0}>"
        "{ c = CumSum(w, axis) y = Add(x, c) }"
    )


def bomb(draw: Draw) -> Graph:
    """Four bytes that would become a thousand."""
    return of_constants(Expand(), draw.weight(1, 1, 1, 1), np.array([1, 3, 9, 9]))


def far_reaching(draw: Draw) -> Graph:
    """One element, of a window over a terabyte of padding."""
    far = Conv.of(2, pads=1 << 20, strides=1 << 22)
    return of_constants(far, draw.weight(1, 1, 4, 5), draw.weight(1, 1, 3, 2))


def kernel(
    draw: Draw, *, left: tuple[int, int], columns: int, elsewhere: bool = False, slot: int = 1
) -> Graph:
    """A weight (or bias) made of two matrices for 4 channels, read ``elsewhere`` or not."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, 5, 5))
    right = b.constant(draw.weight(left[1], columns))
    product, filters = b.add(MatMul(), b.constant(draw.weight(*left)), right, name="p"), left[0] * columns
    weight = b.add(Reshape(), product, b.constant(np.array([filters // 4, 4, 1, 1] if slot == 1 else [-1])))
    if slot == 1:
        b.output(b.add(Conv.of(2), x, weight), name="y")
    else:
        b.output(b.add(Conv.of(2), x, b.constant(draw.weight(filters, 4, 1, 1)), weight), name="y")
    if elsewhere:
        b.output(b.add(Exp(), weight), name="z")
    return b.build()


def filled(draw: Draw, *, points: int = 6, elsewhere: bool = False) -> Graph:
    """A weight made of taps, two of six zeros: turned at ``points``, read ``elsewhere`` or not."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 4, 5, 5))
    full = b.add(Pad(), b.constant(draw.weight(4, 512)), b.constant(np.array([0, 0, 2, 0])), name="full")
    apart = b.add(Reshape(), full, b.constant(np.array([2, 3, 512])))
    taps = b.add(Reshape(), b.add(Transpose(perm=(1, 2, 0)), apart), b.constant(np.array([3, 1024])))
    turned = b.add(MatMul(), b.constant(draw.weight(points, 3)), taps)
    weight = b.add(Reshape(), turned, b.constant(np.array([256 * points, 4, 1, 1])))
    b.output(b.add(Conv.of(2), x, weight), name="y")
    if elsewhere:
        b.output(b.add(Exp(), full), name="z")
    return b.build()


def repeated(draw: Draw, *, channels: int, beside: bool = True) -> Graph:
    """Each of so many channels by itself, all by the same taps: its rows, beside themselves or not."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", channels, 9, 9))
    taps = b.constant(draw.weight(1, 1, 3, 1))
    weight = b.add(Expand(), taps, b.constant(np.array([channels, 1, 3, 1])))
    conv = Conv.of(2, group=channels, strides=(3, 1))
    y = b.add(conv, x, weight)
    b.output(b.add(Concat(axis=1), y, b.add(conv, x, weight)) if beside else y, name="y")
    return b.build()


def bias_of_zeros(draw: Draw) -> Graph:
    """A bias that is one number for all filters, as exporters of functions that have a bias spell none."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, 9, 9))
    bias = b.add(Expand(), b.constant(np.zeros((), dtype=np.float32)), b.constant(np.array([128])))
    b.output(b.add(Conv.of(2), x, b.constant(draw.weight(128, 3, 1, 1)), bias), name="y")
    return b.build()


EXAMPLES = {
    "the same taps for a few channels": lambda draw: repeated(draw, channels=16),
    "a weight of low rank": lambda draw: kernel(draw, left=(32, 3), columns=4),
    "a small outer product": lambda draw: kernel(draw, left=(5, 1), columns=8),
    "sum": lambda draw: of_constants(Add(), draw.weight(3, 1, 1), draw.weight(1, 3, 1, 1)),
    "product of matrices": lambda draw: of_constants(MatMul(), draw.weight(3, 1, 2), draw.weight(2, 1)),
    "reshape": lambda draw: of_constants(Reshape(), draw.weight(3), np.array([1, 3, 1, 1])),
    "large but no growth": lambda draw: of_constants(Neg(), draw.weight(1, 3, 9, 9)),
    "mask arithmetic": mask_arithmetic,
    "to the output": to_the_output,
    "left to the runtime": left_to_the_runtime,
}

NEAR_MISSES = {
    "it_always_computes_the_same": [random, training_dropout],
    "quantised_data_stays_quantised": [stored_quantised],
    "expansions_stay": [
        lambda draw: kernel(draw, left=(64, 1), columns=16),
        lambda draw: kernel(draw, left=(64, 1), columns=16, slot=2),
        lambda draw: kernel(draw, left=(16, 9), columns=64),
        lambda draw: kernel(draw, left=(36, 9), columns=32),
        filled,
        lambda draw: repeated(draw, channels=32),
    ],
    "its_meaning_is_known": [custom],
    "the_model_grows_within_the_limit": [bomb],
    "it_can_be_computed": [not_implemented, far_reaching],
}


@pytest.mark.parametrize(("elsewhere", "folded"), [(False, 0), (True, 2)])
def test_what_is_read_elsewhere_is_multiplied_out(elsewhere: bool, folded: int) -> None:
    graph = kernel(Draw(dyadic=True), left=(64, 1), columns=16, elsewhere=elsewhere)
    _, trace = Pipeline([FoldConstants()]).run(graph)
    assert len([done for done in trace.applications if done.at != "z"]) == folded


def test_only_taps_that_are_turned_into_weights_stay_without_their_zeros() -> None:
    draw, fold = Draw(dyadic=True), Pipeline([FoldConstants()])
    assert not fold.run(filled(draw))[1].applications
    assert fold.run(filled(draw, elsewhere=True))[1].applications
    assert fold.run(filled(draw, points=9))[1].applications


def test_what_grows_by_little_is_multiplied_out() -> None:
    """By less than a kibibyte, though it is larger than that."""
    graph = kernel(Draw(dyadic=True), left=(32, 1), columns=8)
    _, trace = Pipeline([FoldConstants()]).run(graph)
    assert len(trace.applications) == 2


@pytest.mark.parametrize(
    "build", [bias_of_zeros, lambda draw: repeated(draw, channels=32, beside=False)], ids=["bias", "filter"]
)
def test_what_an_exporter_repeats_is_written_out(build: Callable[[Draw], Graph]) -> None:
    """More is known of a filter, or of a bias of zeros, that is a constant."""
    result, trace = Pipeline([FoldConstants()]).run(build(Draw(dyadic=True)))
    assert trace.applications
    assert not any(isinstance(result.op(node), Expand) for node in result.compute_nodes())


def test_taps_of_tiles_that_are_turned_twice_stay() -> None:
    """Of images that are convolved along either axis before they are put side by side."""
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=True)
    x = b.input("x", shape=("N", 128, 9, 9))
    weights = [
        b.add(Expand(), b.constant(draw.weight(1, 1, *kernel)), b.constant(np.array([128, 1, *kernel])))
        for kernel in ((3, 1), (1, 3))
    ]
    first = b.add(Conv.of(2, group=128, strides=(3, 1)), x, weights[0])
    columns = [b.add(Conv.of(2, group=128, strides=(1, 3)), first, weights[1]) for _ in range(2)]
    b.output(b.add(Concat(axis=1), *columns), name="y")
    assert not Pipeline([FoldConstants()]).run(b.build())[1].applications
