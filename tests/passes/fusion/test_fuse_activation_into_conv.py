"""Tables for fuse-activation-into-conv."""

from laws.draw import Draw
from laws.nets import Tail, after_conv

import convgraph.ir.ops
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Value
from convgraph.ir.ops import (
    Activation,
    Add,
    Celu,
    Clip,
    ConvTranspose,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Mish,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Softplus,
    Softsign,
    Swish,
    Tanh,
    ThresholdedRelu,
)


def activate(op: Activation, *parameters: object) -> Tail:
    """The activation of the convolution; a parameter that is a shape is drawn."""

    def tail(b: GraphBuilder, draw: Draw, x: Value) -> Value:
        drawn = [draw.weight(*p) if isinstance(p, tuple) else p for p in parameters]
        return b.add(op, x, *drawn)

    return tail


def self_slope(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The slope of a PRelu is the convolution itself."""
    del draw
    return b.add(PRelu(), x, x)


def two_readers(b: GraphBuilder, draw: Draw, x: Value) -> Value:
    """The convolution is read twice."""
    del draw
    return b.add(Add(), b.add(Relu(), x), x)


EXAMPLES = {
    "Relu": after_conv(activate(Relu())),
    "Relu, no bias": after_conv(activate(Relu()), bias=False),
    "LeakyRelu": after_conv(activate(LeakyRelu(alpha=0.25)), bias=False),
    "PRelu": after_conv(activate(PRelu(), (6, 1, 1)), bias=False),
    "Clip": after_conv(activate(Clip(), 0.0, 6.0)),
    "Clip above": after_conv(activate(Clip(), None, 6.0)),
    "Elu": after_conv(activate(Elu(alpha=0.5))),
    "Sigmoid": after_conv(activate(Sigmoid())),
    "Tanh": after_conv(activate(Tanh())),
    "HardSigmoid": after_conv(activate(HardSigmoid(alpha=0.25, beta=0.5))),
    "HardSwish": after_conv(activate(HardSwish())),
    "Softplus": after_conv(activate(Softplus())),
    "Mish": after_conv(activate(Mish()), opset=18),
    "Gelu": after_conv(activate(Gelu(approximate="tanh")), opset=20),
    "Gelu, exact": after_conv(activate(Gelu()), opset=20),
    "Swish": after_conv(activate(Swish(alpha=0.5)), opset=24),
    "Selu": after_conv(activate(Selu())),
    "Celu": after_conv(activate(Celu(alpha=0.5))),
    "Softsign": after_conv(activate(Softsign())),
    "ThresholdedRelu": after_conv(activate(ThresholdedRelu(alpha=0.5))),
    "transposed 3-D": after_conv(activate(Relu()), kind=ConvTranspose, rank=3),
    "dynamic weight": after_conv(activate(Relu()), computed="weight"),
}

NEAR_MISSES = {
    "nothing_else_reads_the_convolution": [
        after_conv(two_readers),
        after_conv(self_slope),
        after_conv(activate(Relu()), returned=True),
    ],
    "the_convolution_has_no_activation": [after_conv(activate(Relu()), activation=Tanh())],
}


def test_every_activation_has_an_example() -> None:
    every = {
        name
        for name, op in vars(convgraph.ir.ops).items()
        if isinstance(op, type) and issubclass(op, Activation) and op is not Activation
    }
    assert every <= {name.partition(",")[0] for name in EXAMPLES}
