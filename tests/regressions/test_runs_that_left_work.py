"""Networks on which a second run once found something that the first had left."""

import numpy as np
import pytest

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
