"""Networks on which a second run once found something that the first had left."""

import numpy as np
import pytest
from fuzz.generator import network

from convgraph.compiler.optimize import optimize
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Clip, Conv, LeakyRelu, MaxPool


def strided_after_a_pool() -> Graph:
    """Activations that move past a MaxPool, to where every other pixel of theirs is skipped."""
    b = GraphBuilder("g", opset=17)
    x = b.input("x", shape=("N", 3, 8, 12))
    active = b.add(Clip(), b.add(LeakyRelu(alpha=0.25), x), 0.0, 6.0)
    pooled = b.add(MaxPool.of([2, 2], strides=2), active)
    weight = np.random.default_rng(0).normal(size=(5, 3, 1, 1)).astype(np.float32)
    b.output(b.add(Conv.of(2, strides=2), pooled, weight), name="y")
    return b.build()


@pytest.mark.parametrize("target", ["onnxruntime-cpu", "generic"])
def test_a_second_run_changes_nothing(target: str) -> None:
    result = optimize(strided_after_a_pool(), target=target)
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    again = optimize(result.proto, target=target, verify=False)
    assert not again.changed
    assert again.proto == result.proto


@pytest.mark.parametrize(
    ("number", "target"),
    [
        (101, "onnxruntime-cpu"),  # kernels of phases have little rank
        (1582, "onnxruntime-cpu"),  # a normalisation behind an activation of a ConvTranspose was thought free
        (7927, "onnxruntime-cpu"),  # pieces of a split, played out in an order that numbers of nodes gave
        (9970, "onnxruntime-cpu"),
        (1047, "generic"),  # looked ahead no more once a step that only tidies was not found again
        (1994, "generic"),  # a Clip of a convolution's own activation
        (4675, "generic"),  # the same size, spelled in two ways
        (4934, "generic"),  # equal constants, looked for in a play only after what they made possible
        (5135, "generic"),  # equal constants, looked for where another output was made
        (7010, "generic"),  # a bias of zeros, told apart from none
    ],
)
def test_a_second_run_over_a_random_network_changes_nothing(number: int, target: str) -> None:
    result = optimize(network(number), target=target, verify=False)
    again = optimize(result.proto, target=target, verify=False)
    assert result.changed
    assert again.proto == result.proto
