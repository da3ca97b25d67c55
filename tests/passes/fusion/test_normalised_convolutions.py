"""Every spelling of a normalised convolution becomes one convolution, whatever opset it comes in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from convgraph.compiler.optimize import optimize
from convgraph.ir.tensor import Array

RNG = np.random.default_rng(5)
C = 6


def channels(*shape: int) -> Array:
    """Numbers away from zero, one a channel."""
    return (RNG.uniform(0.4, 2, C) * RNG.choice([-1, 1], C)).astype(np.float32).reshape(shape or (C, 1, 1))


NORM = {
    "gamma": channels(C),
    "beta": channels(C),
    "mean": channels(C),
    "var": RNG.uniform(0.3, 2, C).astype(np.float32),
}
WEIGHTS = {
    "Conv": RNG.normal(size=(C, 2, 3, 2)).astype(np.float32),
    "ConvTranspose": RNG.normal(size=(4, C // 2, 3, 2)).astype(np.float32),
}
# opset: what BatchNormalization says besides epsilon in inference mode
FORMS: Mapping[int, Mapping[str, Any]] = {
    7: {},
    9: {"momentum": 0.5},
    13: {},
    14: {"training_mode": 0},
    15: {"training_mode": 0, "momentum": 0.5},
    21: {},
}


def built(
    tail: Sequence[NodeProto], *, opset: int, kind: str = "Conv", **constants: Array
) -> onnx.ModelProto:
    """A convolution of x in two groups from 4 to 6 channels, and the nodes that lead from c to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 9, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    first = helper.make_node(kind, ["x", "w"], ["c"], group=2, strides=[2, 1])
    tensors = {"w": WEIGHTS[kind]} | constants
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()]
    graph = helper.make_graph([first, *tail], "g", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def left_of(proto: onnx.ModelProto) -> list[str]:
    """The operations of the optimized model, which was verified."""
    result = optimize(proto)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    return [node.op_type for node in result.proto.graph.node]


@pytest.mark.parametrize("opset", FORMS)
@pytest.mark.parametrize("kind", WEIGHTS)
def test_a_batch_normalisation(kind: str, opset: int) -> None:
    operands = ["c", "gamma", "beta", "mean", "var"]
    norm = helper.make_node("BatchNormalization", operands, ["y"], epsilon=1e-3, **FORMS[opset])
    assert left_of(built([norm], opset=opset, kind=kind, **NORM)) == [kind]


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("opset", [7, 13])
def test_one_normalisation_for_two_convolutions(kind: str, opset: int) -> None:
    tail = [
        helper.make_node("BatchNormalization", ["c", *NORM], ["n"]),
        helper.make_node("Sigmoid", ["n"], ["a"]),
        helper.make_node("Conv", ["a", "v"], ["d"]),
        helper.make_node("BatchNormalization", ["d", *NORM], ["y"]),
    ]
    square = RNG.normal(size=(C, C, 1, 1)).astype(np.float32)
    assert left_of(built(tail, opset=opset, kind=kind, v=square, **NORM)) == [kind, "Sigmoid", "Conv"]


CHAINS = {
    "x·s + t": ["Mul c s", "Add m t"],
    "t + s·x": ["Mul s c", "Add t m"],
    "(x − t)/s": ["Sub c t", "Div m s"],
    "(t − x)·s": ["Sub t c", "Mul m s"],
    "s·(x + t) − t": ["Add c t", "Mul s m", "Sub m t"],
    "(x·s − t)/s": ["Mul c s", "Sub m t", "Div m s"],
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("shapes", [((C, 1, 1), (1, C, 1, 1)), ((), (1,)), ((1, 1, 1, 1), (C, 1, 1))])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_of_scales_and_shifts(chain: str, shapes: Sequence[tuple[int, ...]], kind: str) -> None:
    s, t = (channels(*shape) if C in shape else np.full(shape, 1.5, np.float32) for shape in shapes)
    tail, previous = [], "c"
    for number, step in enumerate(CHAINS[chain], start=1):
        op_type, *operands = step.split()
        result = "y" if number == len(CHAINS[chain]) else f"m{number}"
        names = [previous if name == "m" else name for name in operands]
        tail.append(helper.make_node(op_type, names, [result]))
        previous = result
    assert left_of(built(tail, opset=13, kind=kind, s=s, t=t)) == [kind]


def test_a_constant_map_stays_an_addition() -> None:
    """One number a pixel is no bias: it is added, and nothing is folded wrongly."""
    tail = [helper.make_node("Add", ["c", "map"], ["y"])]
    drawn = RNG.normal(size=(1, C, 4, 6)).astype(np.float32)
    assert left_of(built(tail, opset=13, map=drawn)) == ["Conv", "Add"]


def test_a_scale_of_a_map_that_is_added_stays_right() -> None:
    tail = [helper.make_node("Add", ["c", "map"], ["a"]), helper.make_node("Mul", ["a", "s"], ["y"])]
    drawn = RNG.normal(size=(1, C, 4, 6)).astype(np.float32)
    assert left_of(built(tail, opset=13, map=drawn, s=channels())) == ["Conv", "Add", "Mul"]
