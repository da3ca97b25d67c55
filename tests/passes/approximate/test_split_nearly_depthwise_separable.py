"""Tables for split-nearly-depthwise-separable."""

from dataclasses import replace

import numpy as np
from laws.draw import Draw
from laws.weighted import Weight, convolved

from convgraph.ir.ops import Conv
from convgraph.ir.tensor import Array
from convgraph.passes import Pipeline
from convgraph.passes.approximate.split_nearly_depthwise_separable import SplitNearlyDepthwiseSeparable

OPTIONS = {"tolerance": 0.1}
# Singular vectors are not dyadic; 16 roundings of float32, as for the exact split.
BOUND = 2.0**-20


def nearly(*shape: int, rank: int = 1, group: int = 1) -> Weight:
    """Depthwise separable at this rank, but for a twentieth."""

    def weight(draw: Draw) -> Array:
        outside, inside, *kernel = shape
        mixing = draw.factor(outside, inside, rank, dtype=np.float64)
        kernels = draw.factor(group, inside, rank, *kernel, dtype=np.float64)
        parts = zip(np.split(mixing, group), kernels, strict=True)
        whole = np.concatenate([np.einsum("oir,ir...->oi...", *part) for part in parts])
        noise = draw.rng.normal(size=shape)
        return whole + 0.05 * np.linalg.norm(whole) / np.linalg.norm(noise) * noise

    return weight


EXAMPLES = {
    "rank 1": convolved(Conv.of(2, pads=1), nearly(16, 4, 3, 3)),
    "rank 2": convolved(Conv.of(2, pads=(1, 2, 1, 2)), nearly(24, 4, 3, 5, rank=2)),
    "no bias": convolved(Conv.of(2, pads=1), nearly(16, 4, 3, 3), bias=False),
    "strides, dilations, odd pads": convolved(
        Conv.of(2, strides=(2, 1), dilations=(1, 2), pads=(1, 2, 0, 3)), nearly(16, 4, 3, 3)
    ),
    "groups": convolved(Conv.of(2, pads=1, group=2), nearly(32, 3, 3, 3, group=2)),
    "1-D": convolved(Conv.of(1, pads=2), nearly(16, 4, 5), spatial=("L",)),
    "3-D": convolved(Conv.of(3, pads=1), nearly(12, 4, 3, 2, 2)),
    "SAME": convolved(replace(Conv.of(2, strides=2), auto_pad="SAME_LOWER"), nearly(16, 4, 3, 3)),
    "double": convolved(Conv.of(2, pads=1), nearly(16, 4, 3, 3), dtype=np.float64),
}

NEAR_MISSES = {
    "the_weight_is_constant": [convolved(Conv.of(2, pads=1), nearly(16, 4, 3, 3), given="overridable")],
    "it_is_cheaper_on_the_target": [convolved(Conv.of(2, pads=1), nearly(4, 6, 3, 3, rank=3))],
}


def test_nothing_is_nearer_than_the_truncated_decomposition() -> None:
    graph = convolved(Conv.of(2, pads=1), nearly(16, 4, 3, 3))(Draw(dyadic=False))
    (node,) = (n for n in graph.nodes() if isinstance(graph.op(n), Conv))
    rewrite = SplitNearlyDepthwiseSeparable(tolerance=0.1)
    match = rewrite.find(graph, node)
    assert match is not None
    weight = graph.constant(graph.operand(node, 1))
    assert weight is not None
    near, array = rewrite.nearest(graph, match), weight.numpy()
    best = 0.0
    for channel in range(4):  # one slice after the other, by the definition of the Frobenius norm
        values = np.linalg.svd(array[:, channel].reshape(16, 9).astype(np.float64), compute_uv=False)
        best += float(np.square(values[1:]).sum())
    np.testing.assert_allclose(np.linalg.norm(near - array), np.sqrt(best), rtol=1e-5)


def test_one_node_is_looked_at_when_told_so() -> None:
    graph = convolved(Conv.of(2, pads=1), nearly(16, 4, 3, 3))(Draw(dyadic=False))
    (node,) = (n for n in graph.nodes() if isinstance(graph.op(n), Conv))
    for only, applications in ((node, 1), (node + 1, 0)):
        rewrite = SplitNearlyDepthwiseSeparable(tolerance=0.1, only=only)
        assert len(Pipeline([rewrite]).run(graph)[1].applications) == applications
