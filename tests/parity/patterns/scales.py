"""Scales, shifts and normalisations around convolutions and matrix products, and where there is neither."""

from collections.abc import Callable, Sequence

import numpy as np

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Add,
    AveragePool,
    BatchNormalization,
    Conv,
    Convolution,
    ConvTranspose,
    Div,
    Gemm,
    LeakyRelu,
    MatMul,
    MaxPool,
    Mul,
    Op,
    Pad,
    Relu,
    Reshape,
    Sub,
    Transpose,
)
from convgraph.ir.tensor import Array, Dim
from parity.pattern import Pattern

Step = Callable[[GraphBuilder, Value], Value]

_CONV_BN = "Conv+BN 1/2/3-D, grouped"
_TRANSPOSED_BN = "ConvTranspose+BN, group 1 / grouped"
_CONV_ADD = "Conv+Add with bias / const left, scalar, Sub, Div"
_CONV_MUL = "Conv×Mul channel / scalar / const left"
_TRANSPOSED_COMBINED = "ConvTranspose+Add / ×Mul"
_CHAINS = "BN+BN, Add+Add"
_ALGEBRA = "parallel convs, conv∘conv, RepVGG sums, dead channels"
_REORDERED = "Conv×Mul: a scale after reshapes and transposes"
_WRONG = "known wrong rewrites elsewhere: "


def _drawn(*shape: int) -> Array:
    """Signed numbers between a half and two, away from zero."""
    rng = np.random.default_rng(sum(shape) + 7 * len(shape))
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 2.0, shape), np.float32)


def _chain(*steps: Step, shape: Sequence[Dim] = (2, 4, 9, 7)) -> Callable[[], Graph]:
    """The steps, one after the other, then a Relu, so that nothing before it is the graph's output."""

    def build() -> Graph:
        b = GraphBuilder("pattern", opset=17, ir_version=8)
        x = b.input("x", shape=shape)
        for step in steps:
            x = step(b, x)
        b.output(b.add(Relu(), x), name="y")
        return b.build()

    return build


def _conv(
    *, kind: type[Convolution] = Conv, rank: int = 2, group: int = 1, bias: bool = True, pads: int = 1
) -> Step:
    """A convolution from 4 to 6 channels."""

    def step(b: GraphBuilder, x: Value) -> Value:
        shape = (4, 6 // group) if kind is ConvTranspose else (6, 4 // group)
        weight = _drawn(*shape, *(3, 2, 2)[:rank])
        op = kind.of(rank, pads=pads, group=group)
        return b.add(op, x, weight, *([_drawn(6)] if bias else []))

    return step


def _norm(channels: int = 6, *, training: bool = False) -> Step:
    """A batch normalisation by statistics that are stored, unless it is in training mode."""

    def step(b: GraphBuilder, x: Value) -> Value:
        statistics = (_drawn(channels), _drawn(channels) / 2, _drawn(channels) / 3, abs(_drawn(channels)))
        if not training:
            return b.add(BatchNormalization(), x, *statistics)
        op = BatchNormalization(training_mode=1)
        return b.add_all(op, x, *statistics, names=("", "mean", "variance"))[0]

    return step


def _with(op: Op, *shape: int, left: bool = False, number: float | None = None) -> Step:
    """A value combined with a constant of a shape or one number, the constant on the left if asked."""

    def step(b: GraphBuilder, x: Value) -> Value:
        constant = b.constant(_drawn(*shape) if number is None else np.array(number, np.float32))
        return b.add(op, constant, x) if left else b.add(op, x, constant)

    return step


def _then(op: Op, *numbers: Sequence[int]) -> Step:
    """An operation with whole numbers as its other operands."""
    return lambda b, x: b.add(op, x, *(np.array(number) for number in numbers))


def _product(op: Gemm | MatMul, *, bias: bool = False) -> Step:
    """A product with a matrix of 4 rows and 6 columns."""

    def step(b: GraphBuilder, x: Value) -> Value:
        shape = (6, 4) if isinstance(op, Gemm) and op.transB else (4, 6)
        return b.add(op, x, _drawn(*shape), *([_drawn(6)] if bias else []))

    return step


def _one_weight_two_norms() -> Graph:
    """Two convolutions share one weight, and two normalisations scale them differently."""
    b = GraphBuilder("pattern", opset=17, ir_version=8)
    x, z = b.input("x", shape=(2, 4, 9, 7)), b.input("z", shape=(2, 4, 5, 6))
    weight = b.constant(_drawn(6, 4, 3, 3), name="weight")
    shared = [b.constant(array) for array in (_drawn(6), _drawn(6) / 2, _drawn(6) / 3)]
    variances = (abs(_drawn(6)), 4 * abs(_drawn(6)) + 1)
    for number, (value, variance) in enumerate(zip((x, z), variances, strict=True)):
        y = b.add(Conv.of(2, pads=1), value, weight)
        b.output(b.add(Relu(), b.add(BatchNormalization(), y, *shared, variance)), name=f"y{number}")
    return b.build()


def _one_weight_two_kinds() -> Graph:
    """A convolution and a transposed one share their weight; only one of them is scaled."""
    b = GraphBuilder("pattern", opset=17, ir_version=8)
    x = b.input("x", shape=(2, 4, 9, 7))
    weight = b.constant(_drawn(4, 4, 3, 3), name="weight")
    b.output(b.add(Mul(), b.add(Conv.of(2), x, weight), _drawn(4, 1, 1)), name="y")
    b.output(b.add(ConvTranspose.of(2), x, weight), name="z")
    return b.build()


def _statistics_from_outside() -> Graph:
    """The variance of a normalisation is a graph input."""
    b = GraphBuilder("pattern", opset=17, ir_version=8)
    x, variance = b.input("x", shape=(2, 4, 9, 7)), b.input("variance", shape=(6,))
    y = _conv()(b, x)
    positive = b.add(Add(), b.add(Mul(), variance, variance), 1.0)
    norm = b.add(BatchNormalization(), y, _drawn(6), _drawn(6) / 2, _drawn(6) / 3, positive)
    b.output(b.add(Relu(), norm), name="y")
    return b.build()


def _weight_from_a_caller() -> Graph:
    """The weight of a normalised convolution is a graph input."""
    b = GraphBuilder("pattern", opset=17, ir_version=8)
    x, weight = b.input("x", shape=(2, 4, 9, 7)), b.input("weight", shape=(6, 4, 3, 3))
    b.output(b.add(Relu(), _norm()(b, b.add(Conv.of(2), x, weight))), name="y")
    return b.build()


def _read_twice() -> Graph:
    """The convolution before a normalisation is read by something else, too."""
    b = GraphBuilder("pattern", opset=17, ir_version=8)
    y = _conv()(b, b.input("x", shape=(2, 4, 9, 7)))
    b.output(b.add(Relu(), _norm()(b, y)), name="y")
    b.output(b.add(MaxPool.of((2, 2)), y), name="z")
    return b.build()


def _parallel_convs() -> Graph:
    """A 3×3 and a 1×1 convolution of one value, normalised and added, and the value itself: RepVGG."""
    b = GraphBuilder("pattern", opset=17, ir_version=8)
    x = b.input("x", shape=(2, 6, 9, 7))
    wide = _norm()(b, b.add(Conv.of(2, pads=1), x, _drawn(6, 6, 3, 3)))
    narrow = _norm()(b, b.add(Conv.of(2), x, _drawn(6, 6, 1, 1)))
    total = b.add(Add(), b.add(Add(), wide, narrow), _norm()(b, x))
    b.output(b.add(Relu(), total), name="y")
    return b.build()


def _zero_pad(op: Op) -> Step:
    """A border of zeros one wide, and a pool of what has it."""

    def step(b: GraphBuilder, x: Value) -> Value:
        padded = b.add(Pad(), x, np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.zeros((), np.float32))
        return b.add(op, padded)

    return step


def _pad_by(value: float, *pads: int) -> Step:
    def step(b: GraphBuilder, x: Value) -> Value:
        return b.add(Pad(), x, np.array(pads), np.full((), value, np.float32))

    return step


_ROWS: dict[str, dict[str, Callable[[], Graph]]] = {
    _CONV_BN: {
        "conv-bn-1d": _chain(_conv(rank=1), _norm(), shape=(2, 4, 9)),
        "conv-bn-2d": _chain(_conv(bias=False), _norm()),
        "conv-bn-3d": _chain(_conv(rank=3), _norm(), shape=(2, 4, 9, 7, 5)),
        "conv-bn-grouped": _chain(_conv(group=2), _norm()),
        "conv-bn-open-batch": _chain(_conv(), _norm(), shape=("N", 4, "H", "W")),
        "bn-of-a-conv-read-twice": _read_twice,
    },
    _TRANSPOSED_BN: {
        "conv-transpose-bn": _chain(_conv(kind=ConvTranspose), _norm()),
        "conv-transpose-bn-grouped": _chain(_conv(kind=ConvTranspose, group=2), _norm()),
    },
    "Gemm+BN": {
        "gemm-bn": _chain(_product(Gemm(), bias=True), _norm(), shape=("N", 4)),
        "gemm-transposed-bn": _chain(_product(Gemm(transB=1)), _norm(), shape=(5, 4)),
        "matmul-bn": _chain(_product(MatMul()), _norm(), shape=(5, 4)),
        "matmul-add": _chain(_product(MatMul()), _with(Add(), 6), shape=(5, 4)),
        "matmul-add-left": _chain(_product(MatMul()), _with(Add(), 6, left=True), shape=("N", 4)),
        "matmul-add-stack": _chain(_product(MatMul()), _with(Add(), 6), shape=(3, 5, 4)),
        "matmul-mul-add-stack": _chain(
            _product(MatMul()), _with(Mul(), 6), _with(Add(), 6), shape=("N", 5, 4)
        ),
        "gemm-add": _chain(_product(Gemm(), bias=True), _with(Add(), 6), shape=(5, 4)),
        "gemm-mul-add": _chain(_product(Gemm(transB=1)), _with(Mul(), 6), _with(Add(), 1, 6), shape=(5, 4)),
    },
    "BN → next conv": {
        "bn-next-conv": _chain(_norm(4), _conv(pads=0)),
        "bn-next-conv-grouped": _chain(_norm(4), _conv(pads=0, group=2)),
    },
    _CONV_ADD: {
        "conv-add-with-bias": _chain(_conv(), _with(Add(), 6, 1, 1)),
        "conv-add-without-bias": _chain(_conv(bias=False), _with(Add(), 1, 6, 1, 1)),
        "conv-add-constant-left": _chain(_conv(), _with(Add(), 6, 1, 1, left=True)),
        "conv-add-scalar": _chain(_conv(), _with(Add())),
        "conv-sub": _chain(_conv(), _with(Sub(), 6, 1, 1)),
        "constant-sub-conv": _chain(_conv(), _with(Sub(), 6, 1, 1, left=True)),
        "conv-div": _chain(_conv(), _with(Div(), 6, 1, 1)),
        "conv-div-scalar": _chain(_conv(bias=False), _with(Div())),
    },
    _CONV_MUL: {
        "conv-mul-channel": _chain(_conv(), _with(Mul(), 6, 1, 1)),
        "conv-mul-scalar": _chain(_conv(), _with(Mul())),
        "conv-mul-constant-left": _chain(_conv(), _with(Mul(), 1, 6, 1, 1, left=True)),
        "conv-mul-add-chain": _chain(
            _conv(), _with(Mul(), 6, 1, 1), _with(Add(), 6, 1, 1), _norm(), _with(Div())
        ),
    },
    _TRANSPOSED_COMBINED: {
        "conv-transpose-add": _chain(_conv(kind=ConvTranspose), _with(Add(), 6, 1, 1)),
        "conv-transpose-mul": _chain(_conv(kind=ConvTranspose), _with(Mul(), 6, 1, 1)),
        "conv-transpose-mul-grouped": _chain(_conv(kind=ConvTranspose, group=2), _with(Mul(), 6, 1, 1)),
    },
    "Mul → conv": {
        "mul-next-conv": _chain(_with(Mul(), 4, 1, 1), _conv()),
        "div-next-conv-scalar": _chain(_with(Div()), _conv()),
        "mul-next-conv-transpose": _chain(_with(Mul()), _conv(kind=ConvTranspose)),
    },
    _CHAINS: {
        "bn-bn": _chain(_norm(4), _norm(4)),
        "bn-alone": _chain(_norm(4)),
        "bn-mul-add": _chain(_norm(4), _with(Mul(), 4, 1, 1), _with(Add(), 4, 1, 1)),
        "mul-bn": _chain(_with(Mul()), _norm(4)),
        "add-add": _chain(_with(Add(), 4, 1, 1), _with(Add(), 4, 1, 1, left=True)),
        "add-sub": _chain(_with(Add()), _with(Sub(), 4, 1, 1)),
        "mul-mul": _chain(_with(Mul(), 4, 1, 1), _with(Mul())),
        "mul-div": _chain(_with(Mul(), 4, 1, 1, left=True), _with(Div(), 7)),
        "add-mul-add-mul": _chain(_with(Add()), _with(Mul(), 4, 1, 1), _with(Add(), 4, 1, 1), _with(Mul())),
        "sub-div": _chain(_with(Sub(), 4, 1, 1), _with(Div(), 4, 1, 1)),
        "sub-div-then-conv": _chain(_with(Sub(), 4, 1, 1), _with(Div(), 4, 1, 1), _conv(pads=0)),
        "constant-minus-constant-minus": _chain(_with(Sub(), left=True), _with(Sub(), left=True)),
    },
    _REORDERED: {
        "attention-scale": _chain(
            _product(MatMul()),
            _with(Add(), 6, left=True),
            _then(Reshape(), [0, 5, 2, 3]),
            _then(Transpose(perm=(0, 2, 1, 3))),
            _with(Div()),
            shape=("N", 5, 4),
        ),
        "conv-flatten-mul": _chain(_conv(), _then(Reshape(), [0, 6, -1]), _with(Mul())),
        "conv-transpose-axes-div": _chain(_conv(), _then(Transpose(perm=(0, 2, 3, 1))), _with(Div())),
    },
    "Mul → conv: past what keeps a factor": {
        "div-relu-conv": _chain(_with(Div(), number=3.0), _then(Relu()), _conv()),
        "mul-leaky-relu-pool-conv": _chain(
            _with(Mul(), number=0.25), _then(LeakyRelu()), _then(MaxPool.of((2, 2))), _conv()
        ),
    },
    _ALGEBRA: {
        "repvgg-block": _parallel_convs,
    },
    _WRONG + "Gemm beta ignored": {
        "gemm-beta-ignored": _chain(_product(Gemm(alpha=0.5, beta=2.0), bias=True), _norm(), shape=(5, 4)),
    },
    _WRONG + "a width-wise Mul taken for channel-wise": {
        "mul-along-the-width": _chain(_conv(), _with(Mul(), 6), shape=(2, 4, 9, 5)),
    },
    _WRONG + "a height-wise Mul taken for channel-wise": {
        "mul-along-the-height": _chain(_conv(), _with(Mul(), 6, 1), shape=(2, 4, 6, 7)),
    },
    _WRONG + "a width-wise Add taken for channel-wise": {
        "add-along-the-width": _chain(_conv(bias=False), _with(Add(), 6), shape=(2, 4, 9, 5)),
    },
    _WRONG + "folding BN in training mode": {
        "bn-in-training": _chain(_conv(), _norm(training=True)),
    },
    _WRONG + "BN fold with non-constant parameters": {
        "bn-of-open-statistics": _statistics_from_outside,
        "bn-of-a-callers-weight": _weight_from_a_caller,
    },
    _WRONG + "two convs sharing one weight, two scales": {
        "one-weight-two-norms": _one_weight_two_norms,
    },
    _WRONG + "Conv and ConvTranspose of one weight": {
        "one-weight-two-kinds": _one_weight_two_kinds,
    },
    _WRONG + "zero Pad into MaxPool": {
        "pad-max-pool": _chain(_zero_pad(MaxPool.of((3, 3)))),
    },
    _WRONG + "Pad into an AveragePool that has its own pads": {
        "pad-average-pool-with-pads": _chain(_zero_pad(AveragePool.of((3, 3), pads=1))),
    },
    _WRONG + "non-zero Pad value into Conv": {
        "pad-of-ones-conv": _chain(_pad_by(1.0, 0, 0, 1, 1, 0, 0, 1, 1), _conv()),
    },
    _WRONG + "negative pads into Conv": {
        "pad-negative-conv": _chain(_pad_by(0.0, 0, 0, -1, 0, 0, 0, 0, -1), _conv(pads=0)),
    },
}

PATTERNS = tuple(
    Pattern(name=name, row=row, build=build)
    for row, builds in _ROWS.items()
    for name, build in builds.items()
)
