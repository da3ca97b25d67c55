"""Transposes, reshapes and their kin: in pairs, in rows, around what does not care, and before products."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder, Operand
from convgraph.ir.encoded import encode
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    BatchNormalization,
    Clip,
    Concat,
    Conv,
    Expand,
    Flatten,
    Gemm,
    LeakyRelu,
    MatMul,
    Mul,
    Neg,
    Op,
    Opaque,
    Pad,
    ReduceMean,
    Relu,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    Split,
    Squeeze,
    Tanh,
    Transpose,
    Unsqueeze,
)
from convgraph.ir.tensor import Array, DataType, Dim, TensorType
from parity.pattern import Pattern

Step = Callable[[GraphBuilder, Value], Value]

_PAIR, _SINKING = "transpose pair", "transpose sinking"
_RESHAPES, _AXES = "reshape–reshape", "squeeze–unsqueeze"
_REMOVAL = "no-op Reshape, Transpose and Expand removal"
_PRODUCTS = "transposes met by MatMul and Gemm"
LAST, FIRST = Transpose(perm=(0, 2, 3, 1)), Transpose(perm=(0, 3, 1, 2))


def _drawn(*shape: int) -> Array:
    """Signed numbers."""
    rng = np.random.default_rng(sum(shape) + 5 * len(shape))
    return np.asarray(rng.normal(size=shape), np.float32)


def _ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def _chain(*steps: Step | Op, shape: Sequence[Dim] = ("N", 4, 9, 7)) -> Callable[[], Graph]:
    """The steps, one after the other, between a Tanh and a Sigmoid."""

    def build() -> Graph:
        b = GraphBuilder("pattern", opset=17, ir_version=8)
        x = b.add(Tanh(), b.input("x", shape=shape))
        for step in steps:
            x = b.add(step, x) if isinstance(step, Op) else step(b, x)
        b.output(b.add(Sigmoid(), x), name="y")
        return b.build()

    return build


def _with(op: Op, *operands: Operand) -> Step:
    """An operation that reads constants too."""
    return lambda b, x: b.add(op, x, *operands)


def _conv(inside: int, outside: int, size: int = 3) -> Step:
    """A convolution with a bias."""
    op = Conv.of(2, pads=size // 2)
    return lambda b, x: b.add(op, x, _drawn(outside, inside, size, size), _drawn(outside))


def _also_returned(b: GraphBuilder, x: Value) -> Value:
    b.output(x, name="also")
    return x


def _also_read(b: GraphBuilder, x: Value) -> Value:
    b.output(b.add(Neg(), x), name="also")
    return x


def _normalised(b: GraphBuilder, x: Value) -> Value:
    operands = (*(_drawn(6) for _ in range(3)), np.abs(_drawn(6)) + 1)
    return b.add(BatchNormalization(), x, *operands)


def _residual(b: GraphBuilder, x: Value) -> Value:
    """What TensorFlow's models come as: every convolution between Transposes, all else channels-last."""
    y = b.add(LAST, _conv(4, 6)(b, b.add(FIRST, x)))
    y = b.add(Relu(), b.add(Add(), b.add(Mul(), y, _drawn(6)), _drawn(6)))
    z = b.add(LAST, _conv(6, 6)(b, b.add(FIRST, y)))
    return b.add(Relu(), b.add(Add(), y, b.add(Add(), z, _drawn(1, 1, 1, 6))))


def _branches(b: GraphBuilder, x: Value) -> Value:
    """Two convolutions joined, channels last."""
    parts = [b.add(LAST, _conv(4, width, size)(b, b.add(FIRST, x))) for width, size in ((3, 3), (5, 1))]
    return b.add(Concat(axis=-1), *parts)


def _halves(b: GraphBuilder, x: Value) -> Value:
    """A gate, channels last."""
    first, second = b.add_all(Split(axis=3), b.add(LAST, x), _ints(2, 2), names=("", ""))
    return b.add(FIRST, b.add(Mul(), first, b.add(Sigmoid(), second)))


def _two_ways(b: GraphBuilder, x: Value) -> Value:
    """Two Transposes of one value, that meet again."""
    return b.add(Add(), b.add(Relu(), b.add(LAST, x)), b.add(Neg(), b.add(LAST, x)))


def _with_other_input(b: GraphBuilder, x: Value) -> Value:
    """A sum with an input that is channels-last itself."""
    other = b.input("other", shape=("N", 9, 7, 4))
    return b.add(FIRST, b.add(Add(), b.add(Relu(), b.add(LAST, x)), b.add(LAST, b.add(FIRST, other))))


def _arg_max(b: GraphBuilder, x: Value) -> Value:
    """The most likely class of each pixel, channels last."""
    attributes = {name: encode(name, number) for name, number in (("axis", 3), ("keepdims", 0))}
    op = Opaque(op_type="ArgMax", arity=1, encoded=attributes)
    kind = TensorType(DataType.INT64, shape=("N", 9, 7))
    (found,) = b.add_all(op, b.add(LAST, x), types=(kind,))
    b.output(found, name="classes")
    return x


def _product(b: GraphBuilder, x: Value) -> Value:
    """The product of a transposed matrix with another input."""
    return b.add(MatMul(), b.add(Transpose(perm=(1, 0)), x), b.input("other", shape=(9, 5)))


def _gram(b: GraphBuilder, x: Value) -> Value:
    """A matrix times its own transpose."""
    return b.add(MatMul(), x, b.add(Transpose(perm=(1, 0)), x))


def _turned_weight(b: GraphBuilder, x: Value) -> Value:
    """A linear layer whose weight is transposed in the graph."""
    return b.add(Gemm(), x, b.add(Transpose(perm=(1, 0)), b.constant(_drawn(5, 9))), _drawn(5))


def _expanded(b: GraphBuilder, x: Value) -> Value:
    """A sum with a pixel that is first repeated as often as needed."""
    pixel = b.add(ReduceMean(), x, _ints(2, 3))
    return b.add(Add(), x, b.add(Expand(), pixel, _ints(2, 4, 9, 7)))


PATTERNS: tuple[Pattern, ...] = tuple(
    Pattern(name=name, row=row, build=build)
    for name, row, build in (
        ("transposes-there-and-back", _PAIR, _chain(LAST, FIRST)),
        ("transposes-there-and-on", _PAIR, _chain(LAST, LAST)),
        ("transposes-three-in-a-row", _PAIR, _chain(LAST, Transpose(perm=(0, 2, 1, 3)), FIRST)),
        ("transposes-reversed-twice", _PAIR, _chain(Transpose(), Transpose())),
        ("transposes-there-returned-and-back", _PAIR, _chain(LAST, _also_returned, FIRST)),
        ("transposes-there-read-and-back", _PAIR, _chain(LAST, _also_read, FIRST)),
        ("transpose-of-nothing", _REMOVAL, _chain(Transpose(perm=(0, 1, 2, 3)))),
        ("transpose-of-ones", _REMOVAL, _chain(Transpose(perm=(0, 3, 2, 1)), shape=("N", 1, 9, 1))),
        ("transpose-of-ones-then-flatten", _RESHAPES, _chain(LAST, Flatten(), shape=("N", 4, 1, 1))),
        ("transposes-around-activation", _SINKING, _chain(LAST, LeakyRelu(alpha=0.1), FIRST)),
        ("transposes-around-clip", _SINKING, _chain(LAST, _with(Clip(), 0.0, 6.0), FIRST)),
        (
            "transposes-around-scale-and-shift",
            _SINKING,
            _chain(
                _conv(4, 6), LAST, _with(Mul(), _drawn(6)), _with(Add(), _drawn(1, 1, 6)), FIRST, _conv(6, 3)
            ),
        ),
        (
            "transposes-around-normalised",
            _SINKING,
            _chain(LAST, Relu(), FIRST, _conv(4, 6), LAST, Neg(), FIRST, _normalised, LAST, Tanh(), FIRST),
        ),
        ("transposes-around-a-residual-block", _SINKING, _chain(_residual, shape=("N", 9, 7, 4))),
        ("transposes-around-branches", _SINKING, _chain(_branches, FIRST, _conv(8, 4), shape=("N", 9, 7, 4))),
        ("transposes-around-a-gate", _SINKING, _chain(_halves)),
        ("transposes-that-meet-again", _SINKING, _chain(_two_ways)),
        ("transposes-around-a-sum-with-an-input", _SINKING, _chain(_with_other_input)),
        (
            "transposes-around-a-slice-and-a-pad",
            _SINKING,
            _chain(
                LAST,
                _with(Slice(), _ints(1, 0), _ints(8, 2), _ints(1, 3)),
                _with(Pad(), _ints(0, 1, 2, 0, 0, 0, 1, 0)),
                FIRST,
            ),
        ),
        ("transposes-around-softmax", _SINKING, _chain(LAST, Softmax(axis=-1), FIRST)),
        ("transposes-around-a-mean", _SINKING, _chain(LAST, _with(ReduceMean(), _ints(1, 2)), FIRST)),
        (
            "transpose-before-global-mean",
            _SINKING,
            _chain(
                LAST,
                Relu(),
                _with(ReduceMean(keepdims=0), _ints(1, 2)),
                _with(Gemm(), _drawn(4, 5), _drawn(5)),
            ),
        ),
        ("transpose-before-arg-max", _SINKING, _chain(_arg_max)),
        (
            "transpose-flatten-gemm",
            _PRODUCTS,
            _chain(
                _conv(4, 6), LAST, _with(Reshape(), _ints(-1, 378)), _with(Gemm(), _drawn(378, 5), _drawn(5))
            ),
        ),
        (
            "transpose-flatten-matmul",
            _PRODUCTS,
            _chain(LAST, Relu(), Flatten(), _with(MatMul(), _drawn(252, 5))),
        ),
        ("transpose-matmul", _PRODUCTS, _chain(_product, shape=(9, 4))),
        ("transpose-matmul-of-itself", _PRODUCTS, _chain(_gram, shape=("N", 4))),
        (
            "transpose-gemm",
            _PRODUCTS,
            _chain(Transpose(perm=(1, 0)), _with(Gemm(), _drawn(9, 5)), shape=(9, 4)),
        ),
        ("transposed-weight-gemm", _PRODUCTS, _chain(_turned_weight, shape=("N", 9))),
        (
            "reshape-reshape",
            _RESHAPES,
            _chain(_with(Reshape(), _ints(0, -1)), _with(Reshape(), _ints(-1, 6, 42))),
        ),
        (
            "reshape-reshape-back",
            _RESHAPES,
            _chain(_with(Reshape(), _ints(0, 4, -1)), _with(Reshape(), _ints(0, 4, 9, 7))),
        ),
        (
            "reshape-reshape-back-of-open-sizes",
            _RESHAPES,
            _chain(
                _with(Reshape(), _ints(0, 0, -1)),
                _with(Reshape(), _ints(0, 0, -1, 7)),
                shape=("N", "C", "H", 7),
            ),
        ),
        (
            "reshape-read-and-back",
            _RESHAPES,
            _chain(_with(Reshape(), _ints(0, -1)), _also_read, _with(Reshape(), _ints(0, 4, 9, 7))),
        ),
        (
            "reshape-relu-reshape",
            _RESHAPES,
            _chain(
                _with(Reshape(), _ints(0, 4, -1)),
                Relu(),
                _with(Mul(), np.float32(3)),
                _with(Reshape(), _ints(0, 4, 9, 7)),
            ),
        ),
        ("flatten-reshape", _RESHAPES, _chain(Flatten(axis=2), _with(Reshape(), _ints(-1, 252)))),
        ("reshape-flatten", _RESHAPES, _chain(_with(Reshape(), _ints(0, 4, -1)), Flatten())),
        (
            "squeeze-reshape",
            _RESHAPES,
            _chain(_with(Squeeze(), _ints(3)), _with(Reshape(), _ints(0, 2, -1)), shape=("N", 4, 9, 1)),
        ),
        (
            "squeeze-unsqueeze",
            _AXES,
            _chain(_with(Squeeze(), _ints(2)), _with(Unsqueeze(), _ints(2)), shape=("N", "C", 1, "W")),
        ),
        (
            "unsqueeze-squeeze",
            _AXES,
            _chain(_with(Unsqueeze(), _ints(-1)), Relu(), _with(Squeeze(), _ints(-1))),
        ),
        (
            "unsqueeze-unsqueeze",
            _AXES,
            _chain(_with(Unsqueeze(), _ints(0)), _with(Unsqueeze(), _ints(3)), shape=("N", "C")),
        ),
        (
            "squeeze-squeeze",
            _AXES,
            _chain(_with(Squeeze(), _ints(3)), _with(Squeeze(), _ints(2)), shape=("N", "C", 1, 1)),
        ),
        (
            "reshape-to-the-same-shape",
            _REMOVAL,
            _chain(_with(Reshape(), _ints(2, 4, 9, 7)), shape=(2, 4, 9, 7)),
        ),
        (
            "reshape-to-the-same-open-shape",
            _REMOVAL,
            _chain(_with(Reshape(), _ints(0, 4, 9, -1)), shape=("N", 4, 9, "W")),
        ),
        (
            "reshape-that-copies",
            _REMOVAL,
            _chain(_with(Reshape(), _ints(0, 0, 0, 0)), shape=("N", "C", "H", "W")),
        ),
        ("flatten-of-a-matrix", _REMOVAL, _chain(Flatten(), shape=("N", 4))),
        ("expand-to-ones", _REMOVAL, _chain(_with(Expand(), _ints(1, 1, 1, 1)))),
        (
            "expand-to-the-same-shape",
            _REMOVAL,
            _chain(_with(Expand(), _ints(2, 4, 9, 7)), shape=(2, 4, 9, 7)),
        ),
        ("expand-before-a-sum", _REMOVAL, _chain(_expanded, shape=(2, 4, 9, 7))),
    )
)
