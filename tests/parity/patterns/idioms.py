"""What frameworks and their exporters spell with many operations where ONNX has one, or needs none."""

from collections.abc import Callable, Sequence

import numpy as np
from laws.draw import Draw

from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Abs,
    Add,
    Cast,
    Concat,
    Conv,
    Div,
    Erf,
    Exp,
    Expand,
    InstanceNormalization,
    LeakyRelu,
    Log,
    Max,
    Min,
    Mul,
    Neg,
    Pow,
    Reciprocal,
    ReduceL2,
    ReduceMean,
    ReduceSum,
    Relu,
    Reshape,
    Softmax,
    Softplus,
    Sqrt,
    Sub,
    Tanh,
    Transpose,
    Unsqueeze,
)
from convgraph.ir.tensor import Array, DataType, Dim
from parity.pattern import Pattern

Tail = Callable[[GraphBuilder, Draw, Value], Value]
Weight = Callable[[GraphBuilder, Draw], Value]

CHANNELS, HEIGHT, WIDTH = 8, 6, 10
IMAGE: tuple[Dim, ...] = (2, CHANNELS, HEIGHT, WIDTH)


def after_conv(tail: Tail, *, opset: int = 17, batch: Dim = 2, biased: bool = True) -> Callable[[], Graph]:
    """A convolution, and what ``tail`` makes of it."""

    def build() -> Graph:
        draw, b = Draw(dyadic=False), GraphBuilder("g", opset=opset)
        x = b.input("x", shape=(batch, 3, HEIGHT, WIDTH))
        bias = [draw.weight(CHANNELS)] if biased else []
        x = b.add(Conv.of(2, pads=1), x, draw.weight(CHANNELS, 3, 3, 3), *bias)
        b.output(tail(b, draw, x), name="y")
        return b.build()

    return build


def with_weight(weight: Weight) -> Callable[[], Graph]:
    """A convolution whose weight is computed from constants."""

    def build() -> Graph:
        draw, b = Draw(dyadic=False), GraphBuilder("g", opset=17)
        x = b.input("x", shape=("N", 3, "H", "W"))
        b.output(b.add(Relu(), b.add(Conv.of(2), x, weight(b, draw), draw.weight(CHANNELS))), name="y")
        return b.build()

    return build


def shape(*numbers: int) -> Array:
    """The sizes that a Reshape wants."""
    return np.array(numbers, np.int64)


def rearranged(apart: Sequence[int], perm: Sequence[int], together: Sequence[int]) -> Tail:
    """Reshape, Transpose, Reshape."""

    def tail(b: GraphBuilder, _: Draw, x: Value) -> Value:
        split = b.add(Reshape(), x, shape(*apart))
        return b.add(Reshape(), b.add(Transpose(perm=tuple(perm)), split), shape(*together))

    return tail


def followed(tail: Tail) -> Tail:
    """What ``tail`` makes, and another convolution."""

    def both(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        y = tail(b, draw, x)
        channels = b.type(y).dim(1)
        assert isinstance(channels, int)
        return b.add(Conv.of(2, pads=1), y, draw.weight(5, channels, 3, 3))

    return both


def axes(b: GraphBuilder, *numbers: int) -> Value:
    """The axes of a reduction."""
    return b.constant(np.array(numbers, np.int64), name="axes")


# ---- weights computed from constants ----


def normed(b: GraphBuilder, draw: Draw) -> Value:
    """Weight normalisation: a direction and a length."""
    direction = b.constant(draw.weight(CHANNELS, 3, 3, 3), name="direction")
    length = b.add(ReduceL2(), direction, axes(b, 1, 2, 3))
    return b.add(Mul(), b.add(Div(), direction, length), draw.factor(CHANNELS, 1, 1, 1))


def spectral(b: GraphBuilder, draw: Draw) -> Value:
    """Spectral normalisation: divided by its largest singular value, as two vectors give it."""
    weight = b.constant(draw.weight(CHANNELS, 3, 3, 3), name="weight")
    matrix = b.add(Reshape(), weight, shape(CHANNELS, -1))
    seen = b.add(Mul(), b.add(Mul(), matrix, draw.factor(CHANNELS, 1)), draw.factor(27))
    return b.add(Div(), weight, b.add(ReduceSum(keepdims=0), seen))


def standardised(b: GraphBuilder, draw: Draw) -> Value:
    """Weight standardisation: mean 0 and variance 1 for each filter."""
    weight = b.constant(draw.weight(CHANNELS, 3, 3, 3), name="weight")
    centred = b.add(Sub(), weight, b.add(ReduceMean(), weight, axes(b, 1, 2, 3)))
    variance = b.add(ReduceMean(), b.add(Mul(), centred, centred), axes(b, 1, 2, 3))
    return b.add(Div(), centred, b.add(Sqrt(), b.add(Add(), variance, 1e-5)))


def masked(b: GraphBuilder, draw: Draw) -> Value:
    """A weight times a mask of booleans."""
    weight = b.constant(draw.weight(CHANNELS, 3, 3, 3), name="weight")
    mask = b.constant(np.arange(27).reshape(1, 3, 3, 3) % 9 < 4, name="mask")
    return b.add(Mul(), weight, b.add(Cast(to=DataType.FLOAT), mask))


# ---- activations ----


def gelu(*, left: bool = False, scale: str = "div", half: str = "first") -> Tail:
    """x·½·(1 + erf(x/√2)): how x is scaled, and what is halved."""

    def tail(b: GraphBuilder, _: Draw, x: Value) -> Value:
        def times(a: Value, number: float) -> Value:
            c = b.constant(np.array(number, np.float32))
            return b.add(Mul(), *((c, a) if left else (a, c)))

        bent = b.add(Erf(), b.add(Div(), x, 2**0.5) if scale == "div" else times(x, 0.5**0.5))
        if half == "inside":
            return b.add(Mul(), x, b.add(Add(), times(bent, 0.5), 0.5))
        raised = b.add(Add(), bent, 1.0)
        if half == "factor":
            return b.add(Mul(), x, times(raised, 0.5))
        return b.add(Mul(), times(x, 0.5), raised) if half == "first" else times(b.add(Mul(), x, raised), 0.5)

    return tail


def gelu_of_tanh(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """x·½·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    bent = b.add(Add(), x, b.add(Mul(), b.add(Pow(), x, 3.0), 0.044715))
    raised = b.add(Add(), b.add(Tanh(), b.add(Mul(), bent, (2 / np.pi) ** 0.5)), 1.0)
    return b.add(Mul(), b.add(Mul(), x, 0.5), raised)


def one_and_exp(b: GraphBuilder, x: Value) -> Value:
    """1 + exp(−x)."""
    return b.add(Add(), b.add(Exp(), b.add(Neg(), x)), 1.0)


def logistic(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """1 / (1 + exp(−x))."""
    bent = one_and_exp(b, x)
    return b.add(Div(), b.constant(np.array(1, np.float32)), bent)


def inverted_logistic(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """The reciprocal of 1 + exp(−x)."""
    return b.add(Reciprocal(), one_and_exp(b, x))


def swish(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """x / (1 + exp(−x))."""
    return b.add(Div(), x, one_and_exp(b, x))


def softsign(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """x / (|x| + 1)."""
    return b.add(Div(), x, b.add(Add(), b.add(Abs(), x), 1.0))


def mish(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """x·tanh(softplus(x))."""
    return b.add(Mul(), x, b.add(Tanh(), b.add(Softplus(), x)))


def hard_swish(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """x·relu6(x + 3) / 6."""
    six = b.add(Min(), b.add(Relu(), b.add(Add(), x, 3.0)), 6.0)
    return b.add(Div(), b.add(Mul(), x, six), 6.0)


def leaky(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """The larger of x and a tenth of it."""
    return b.add(Max(), b.add(Mul(), b.constant(np.array(0.1, np.float32)), x), x)


# ---- normalisations ----


def centred(b: GraphBuilder, x: Value, *over: int) -> tuple[Value, Value]:
    """X less its mean over some axes, and the mean of that squared."""
    less = b.add(Sub(), x, b.add(ReduceMean(), x, axes(b, *over)))
    return less, b.add(ReduceMean(), b.add(Mul(), less, less), axes(b, *over))


def instance_norm(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Each channel of each sample to mean 0 and variance 1, then a scale and a shift."""
    less, variance = centred(b, x, 2, 3)
    normal = b.add(Div(), less, b.add(Sqrt(), b.add(Add(), variance, 1e-5)))
    return b.add(Add(), b.add(Mul(), normal, draw.factor(CHANNELS, 1, 1)), draw.weight(CHANNELS, 1, 1))


def plain_instance_norm(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """Each channel of each sample to mean 0 and variance 1, by a product with the inverse root."""
    less, variance = centred(b, x, -2, -1)
    return b.add(Mul(), less, b.add(Reciprocal(), b.add(Sqrt(), b.add(Add(), variance, 1e-5))))


def group_norm(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Groups of channels normalised as instances, then a scale and a shift of each channel."""
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    grouped = b.add(Reshape(), x, shape(0, 4, -1))
    normal = b.add(Reshape(), b.add(InstanceNormalization(), grouped, ones, zeros), shape(*IMAGE))
    return b.add(Add(), b.add(Mul(), normal, draw.factor(CHANNELS, 1, 1)), draw.weight(CHANNELS, 1, 1))


def written_group_norm(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """Groups of channels to mean 0 and variance 1."""
    less, variance = centred(b, b.add(Reshape(), x, shape(0, 4, -1)), 2)
    normal = b.add(Div(), less, b.add(Sqrt(), b.add(Add(), variance, 1e-5)))
    return b.add(Reshape(), normal, shape(*IMAGE))


def layer_norm(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The channels of each pixel, put last, to mean 0 and variance 1; then a scale and a shift."""
    last = b.add(Transpose(perm=(0, 2, 3, 1)), x)
    less, variance = centred(b, last, -1)
    normal = b.add(Div(), less, b.add(Sqrt(), b.add(Add(), variance, 1e-6)))
    scaled = b.add(Add(), b.add(Mul(), normal, draw.factor(CHANNELS)), draw.weight(CHANNELS))
    return b.add(Transpose(perm=(0, 3, 1, 2)), scaled)


def channel_norm(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Twice as many channels, those of each pixel to mean 0 and variance 1; then a scale and a shift."""
    wide = b.add(Conv.of(2), x, draw.weight(2 * CHANNELS, CHANNELS, 1, 1))
    less, variance = centred(b, wide, 1)
    normal = b.add(Div(), less, b.add(Sqrt(), b.add(Add(), variance, 1e-6)))
    scaled = b.add(Mul(), b.constant(draw.factor(2 * CHANNELS, 1, 1)), normal)
    return b.add(Add(), scaled, draw.weight(2 * CHANNELS, 1, 1))


def rms_norm(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The columns to a mean square of 1, then a scale."""
    square = b.add(ReduceMean(), b.add(Pow(), x, 2.0), axes(b, -1))
    return b.add(Mul(), b.add(Div(), x, b.add(Sqrt(), b.add(Add(), square, 1e-5))), draw.factor(WIDTH))


def length_norm() -> Graph:
    """The channels of each pixel over their length: no number where a Relu left nothing but zeros."""
    b = GraphBuilder("g", opset=17)
    positive = b.add(Relu(), b.input("x", shape=IMAGE))
    b.output(b.add(Div(), positive, b.add(ReduceL2(), positive, axes(b, 1))), name="y")
    return b.build()


def log_softmax(b: GraphBuilder, _: Draw, x: Value) -> Value:
    """The logarithms of the probabilities of the channels."""
    return b.add(Log(), b.add(Softmax(axis=1), x))


# ---- coordinates ----


def coordinates(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """Two channels more that hold the rows and the columns, from −1 to 1, expanded over the batch."""
    rows = b.constant(np.linspace(-1, 1, HEIGHT, dtype=np.float32), name="rows")
    columns = b.constant(np.linspace(-1, 1, WIDTH, dtype=np.float32), name="columns")
    high = b.add(Unsqueeze(), b.add(Unsqueeze(), rows, axes(b, 1)), axes(b, 0, 1))
    wide = b.add(Unsqueeze(), b.add(Unsqueeze(), columns, axes(b, 0)), axes(b, 0, 1))
    maps = [b.add(Expand(), one, shape(2, 1, HEIGHT, WIDTH)) for one in (high, wide)]
    joined = b.add(Concat(axis=1), x, *maps)
    return b.add(LeakyRelu(), b.add(Conv.of(2), joined, draw.weight(5, CHANNELS + 2, 3, 3)))


CRD = rearranged([2, 2, 2, 2, HEIGHT, WIDTH], [0, 1, 4, 2, 5, 3], [2, 2, 2 * HEIGHT, 2 * WIDTH])
OPEN_CRD = rearranged([-1, 2, 2, 2, HEIGHT, WIDTH], [0, 1, 4, 2, 5, 3], [-1, 2, 2 * HEIGHT, 2 * WIDTH])
DCR = rearranged([2, 2, 2, 2, HEIGHT, WIDTH], [0, 3, 4, 1, 5, 2], [2, 2, 2 * HEIGHT, 2 * WIDTH])
SQUEEZE = rearranged([2, CHANNELS, 3, 2, 5, 2], [0, 3, 5, 1, 2, 4], [2, CHANNELS * 4, 3, 5])
UNSHUFFLE = rearranged([2, CHANNELS, 3, 2, 5, 2], [0, 1, 3, 5, 2, 4], [2, CHANNELS * 4, 3, 5])
SHUFFLE = rearranged([2, 2, 4, HEIGHT, WIDTH], [0, 2, 1, 3, 4], IMAGE)  # type: ignore[arg-type]

ROWS = {
    "weight_norm / spectral_norm / weight standardisation / weight·mask": {
        "weight-norm": with_weight(normed),
        "spectral-norm": with_weight(spectral),
        "weight-standardisation": with_weight(standardised),
        "weight-mask": with_weight(masked),
    },
    "PixelShuffle, PixelUnshuffle, channel shuffle": {
        "pixel-shuffle": after_conv(CRD),
        "pixel-shuffle-open-batch": after_conv(OPEN_CRD, batch="N"),
        "pixel-shuffle-block-first": after_conv(DCR),
        "space-to-depth": after_conv(SQUEEZE),
        "pixel-unshuffle": after_conv(UNSHUFFLE),
        "pixel-unshuffle-before-conv": after_conv(followed(UNSHUFFLE)),
        "channel-shuffle-between-convs": after_conv(followed(SHUFFLE)),
    },
    "CoordConv": {"coordinate-channels": after_conv(coordinates)},
    "GELU": {
        "gelu-quotient": after_conv(gelu()),
        "gelu-halved-last": after_conv(gelu(half="last")),
        "gelu-constants-left": after_conv(gelu(left=True, scale="mul", half="factor")),
        "gelu-half-inside": after_conv(gelu(scale="mul", half="inside")),
        "gelu-newest-opset": after_conv(gelu(), opset=20),
        "gelu-tanh": after_conv(gelu_of_tanh),
        "gelu-tanh-newest-opset": after_conv(gelu_of_tanh, opset=20),
    },
    "Spelled-out activations": {
        "sigmoid-quotient": after_conv(logistic),
        "sigmoid-reciprocal": after_conv(inverted_logistic),
        "swish-quotient": after_conv(swish),
        "softsign-quotient": after_conv(softsign),
        "mish-product": after_conv(mish),
        "hard-swish-of-relu6": after_conv(hard_swish),
        "leaky-relu-of-max": after_conv(leaky),
    },
    "Spelled-out normalisations": {
        "instance-norm": after_conv(instance_norm, biased=False),
        "instance-norm-inverse-root": after_conv(plain_instance_norm, biased=False),
        "group-norm-of-instances": after_conv(group_norm),
        "group-norm-spelled-out": after_conv(written_group_norm),
        "layer-norm-channels-last": after_conv(layer_norm),
        "layer-norm-channels-first": after_conv(channel_norm, biased=False),
        "rms-norm": after_conv(rms_norm, opset=23),
        "length-norm-of-zeros": length_norm,
        "log-of-softmax": after_conv(log_softmax),
    },
}

PATTERNS = tuple(
    Pattern(name=name, row=row, build=build) for row, found in ROWS.items() for name, build in found.items()
)
