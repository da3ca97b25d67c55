"""What is there twice, what nobody reads, and arithmetic that changes nothing."""

from collections.abc import Callable

import numpy as np
import onnx

from convgraph.ir.tensor import Array
from parity.pattern import Pattern
from parity.patterns import windows
from parity.patterns.windows import ONE, TWO

CONV = np.random.default_rng(1).normal(size=(6, 4, 3, 3)).astype(np.float32)
SQUARE = np.random.default_rng(2).normal(size=(4, 4, 3, 3)).astype(np.float32)
SPELLED_OUT = "dilations = [1, 1], kernel_shape = [3, 3], pads = [0, 0, 0, 0], strides = [1, 1]"
BIAS = np.linspace(-1, 1, 6, dtype=np.float32)


def written(body: str, *, y: str = "y", **constants: Array | list[int]) -> Callable[[], onnx.ModelProto]:
    """The model of a body in ONNX's text form, without the types of what is inside.

    Not every tool keeps them, and constants that are stored once are to be what makes a file smaller.
    """

    def build() -> onnx.ModelProto:
        model = windows.written(body, y=y, **constants)()
        del model.graph.value_info[:]
        return model

    return build


def number(value: float, *size: int) -> Array:
    """One number everywhere."""
    return np.full(size, value, np.float32)


SAME_OPERATIONS = {
    "same-activations": written("s = Sigmoid(x) t = Tanh(s) r = Sigmoid(x) a = Abs(r) y = Sub(t, a)"),
    "same-chains": written(
        """a = Tanh(x) b = Conv<pads = [1, 1, 1, 1]>(a, v, c) d = MaxPool<kernel_shape = [3, 2]>(b)
        e = Tanh(x) f = Conv<pads = [1, 1, 1, 1]>(e, w, g) h = MaxPool<kernel_shape = [3, 2]>(f)
        p = Sigmoid(d) q = Abs(h) y = Mul(p, q)""",
        v=CONV,
        w=CONV,
        c=BIAS,
        g=BIAS,
    ),
    "same-convolutions": written(
        "p = Conv(x, v) q = Conv(x, w) r = Sigmoid(p) s = Abs(q) y = Mul(r, s)", v=CONV, w=CONV
    ),
    "same-convolutions-returned": written(
        f"y = Conv<{SPELLED_OUT}>(x, v) z = Conv<{SPELLED_OUT}>(x, w)", y="y, z", v=CONV, w=CONV
    ),
    "same-sums-turned-round": written(
        "p = Sin(x) q = Cos(x) r = Add(p, q) s = Add(q, p) t = Abs(s) y = Mul(r, t)"
    ),
    "same-differences-turned-round": written(
        "p = Sin(x) q = Cos(x) r = Sub(p, q) s = Sub(q, p) t = Tanh(s) y = Mul(r, t)"
    ),
    "same-noise": written(
        """p = RandomUniformLike(x) q = RandomUniformLike(x) d = Sub(p, q) a = Abs(d)
        m = ReduceMax<keepdims = 0>(a) c = Greater(m, zero) f = Cast<to = 1>(c) s = Sin(x) y = Mul(s, f)""",
        zero=number(0),
    ),
    "same-sizes": written(
        """s = Shape(x) n = Gather(s, zero) a = Unsqueeze(n, axis) t = Concat<axis = 0>(a, rest) p = Sin(x)
        q = Reshape(p, t) z = Shape(x) m = Gather(z, nought) b = Unsqueeze(m, axes)
        u = Concat<axis = 0>(b, others) r = Cos(x) v = Reshape(r, u) y = Mul(q, v)""",
        zero=np.array(0),
        nought=np.array(0),
        axis=[0],
        axes=[0],
        rest=[4, -1],
        others=[4, -1],
    ),
}
SAME_WEIGHTS = {
    "same-weights": written(
        """a = Conv<pads = [1, 1, 1, 1]>(x, u) b = Tanh(a) c = Conv<pads = [1, 1, 1, 1]>(b, v) d = Tanh(c)
        y = Conv<pads = [1, 1, 1, 1]>(d, w)""",
        u=SQUARE,
        v=SQUARE,
        w=SQUARE,
    ),
    "same-weights-of-two-scales": written(
        """a = Conv<pads = [1, 1, 1, 1]>(x, v) b = Mul(a, two) c = Tanh(b) d = Conv<pads = [1, 1, 1, 1]>(c, w)
        y = Mul(d, three)""",
        v=SQUARE,
        w=SQUARE,
        two=number(2, 1, 4, 1, 1),
        three=number(3, 1, 4, 1, 1),
    ),
    "zeros-of-two-signs": written(
        "a = Abs(x) p = Div(a, plus) q = Div(a, minus) c = Greater(p, q) n = Sin(x) y = Where(c, x, n)",
        plus=number(0.0),
        minus=number(-0.0),
    ),
}
DEAD = {
    "dead-branch": written("d = Conv(x, w) e = Relu(d) f = Softmax(e) y = Sigmoid(x)", w=CONV),
    "dropout-ratio": written("r = Tanh(x) d = Dropout(r, ratio) y = Sin(d)", ratio=number(0.25)),
    "dropout-ratio-not-training": written(
        "r = Tanh(x) d, mask = Dropout(r, ratio, no) y = Sin(d)", ratio=number(0.25), no=np.array(False)
    ),
    "identities": written(
        """a = Identity(x) b = Tanh(a) c = Identity(b) d = Concat<axis = 1>(c) e = Sum(d) f = Max(e)
        g = Mean(f) y = Sin(g)"""
    ),
}
NEUTRAL = {
    "add-zero": written("a = Tanh(x) b = Add(a, zero) y = Sin(b)", zero=number(0)),
    "add-zero-left": written("a = Tanh(x) b = Add(zero, a) y = Sin(b)", zero=number(0, 1, 4, 1, 1)),
    "sub-zero": written("a = Tanh(x) b = Sub(a, zero) y = Sin(b)", zero=number(0)),
    "mul-one": written("a = Tanh(x) b = Mul(a, one) y = Sin(b)", one=number(1, 1)),
    "div-one": written("a = Tanh(x) b = Div(a, one) y = Sin(b)", one=ONE),
    "pow-one": written("a = Tanh(x) b = Pow(a, one) y = Sin(b)", one=ONE),
    "and-true": written(
        "a = Greater(x, one) b = And(a, yes) c = Sin(x) y = Where(b, x, c)", one=ONE, yes=np.array(True)
    ),
    "neutral-for-the-largest": written("a = Max(x, low) y = Sin(a)", low=number(-np.inf)),
    "zero-that-widens": written("a = Tanh(x) b = Add(a, zero) y = Sin(b)", zero=number(0, 3, 1, 1, 1, 1)),
}
CHAINS = {
    "not-not": written("a = Greater(x, one) b = Not(a) c = Not(b) d = Sin(x) y = Where(c, x, d)", one=ONE),
    "neg-neg": written("a = Neg(x) b = Neg(a) y = Sin(b)"),
    "abs-abs": written("a = Abs(x) b = Abs(a) y = Sin(b)"),
    "relu-relu": written("a = Relu(x) b = Relu(a) y = Sin(b)"),
    "relu-of-sigmoid": written("a = Sigmoid(x) b = Relu(a) y = Sin(b)"),
    "ceil-ceil": written("a = Ceil(x) b = Ceil(a) y = Sin(b)"),
    "clip-clip": written("a = Clip(x, l, h) b = Clip(a, m, k) y = Sin(b)", l=-2 * ONE, h=ONE, m=-ONE, k=TWO),
    "clip-clip-of-different-bounds": written("a = Clip(x, l) b = Clip(a, , h) y = Sin(b)", l=-ONE, h=TWO),
    "relu-clip": written("a = Relu(x) b = Clip(a, l, h) y = Sin(b)", l=-ONE, h=TWO),
    "clip-relu": written("a = Clip(x, l, h) b = Relu(a) y = Sin(b)", l=-ONE, h=TWO),
}
CASTS = {
    "cast-to-the-same": written("a = Tanh(x) b = Cast<to = 1>(a) y = Sin(b)"),
    "cast-there-and-back": written("a = Tanh(x) b = Cast<to = 11>(a) c = Cast<to = 1>(b) y = Sin(c)"),
    "cast-through-half": written("a = Tanh(x) b = Cast<to = 10>(a) c = Cast<to = 1>(b) y = Sin(c)"),
    "cast-through-integers": written("a = Cast<to = 6>(x) b = Cast<to = 1>(a) y = Sin(b)"),
    "cast-mask-twice": written(
        "a = Greater(x, one) b = Cast<to = 7>(a) c = Cast<to = 1>(b) y = Mul(x, c)", one=ONE
    ),
}
CHOICES = {
    "where-always": written(
        "p = Sin(x) q = Cos(x) a = Where(yes, p, q) y = Tanh(a)", yes=np.ones((1, 1, 9, 1), bool)
    ),
    "where-never": written("p = Sin(x) q = Cos(x) a = Where(no, p, q) y = Tanh(a)", no=np.array(False)),
    "where-between-equals": written("p = Sin(x) c = Greater(x, one) a = Where(c, p, p) y = Tanh(a)", one=ONE),
}

PATTERNS = (
    *(Pattern(name=name, row="CSE", build=build) for name, build in SAME_OPERATIONS.items()),
    *(Pattern(name=name, row="equal weights shared", build=build) for name, build in SAME_WEIGHTS.items()),
    *(Pattern(name=name, row="dead code; dropout", build=build) for name, build in DEAD.items()),
    *(Pattern(name=name, row="E: arithmetic without effect", build=build) for name, build in NEUTRAL.items()),
    *(Pattern(name=name, row="E: chains of one function", build=build) for name, build in CHAINS.items()),
    *(Pattern(name=name, row="E: casts", build=build) for name, build in CASTS.items()),
    *(Pattern(name=name, row="E: choices", build=build) for name, build in CHOICES.items()),
)
