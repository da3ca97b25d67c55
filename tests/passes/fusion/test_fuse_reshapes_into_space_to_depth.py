"""Tables for fuse-reshapes-into-space-to-depth, and a pixel unshuffle before a convolution."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.shuffled import rearranged

from convgraph.compiler.optimize import optimize
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Reshape, Transpose
from convgraph.ir.tensor import Dim
from convgraph.passes import FuseReshapesIntoSpaceToDepth, Pipeline

BLOCK, CHANNEL = (0, 3, 5, 1, 2, 4), (0, 1, 3, 5, 2, 4)


def squeezed(
    *x: Dim,
    apart: Sequence[int],
    together: Sequence[int],
    perm: Sequence[int] = BLOCK,
    dtype: type = np.float32,
    opset: int = 17,
    returned: str = "",
) -> Callable[[Draw], Graph]:
    """Pixels that become channels, the block before the channel unless ``perm`` says otherwise."""
    return rearranged(
        *x, apart=apart, perm=perm, together=together, dtype=dtype, opset=opset, returned=returned
    )


EXAMPLES = {
    "block first": squeezed(2, 3, 8, 10, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5)),
    "channel first": squeezed(2, 3, 8, 10, perm=CHANNEL, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5)),
    "one channel": squeezed(2, 1, 6, 12, perm=CHANNEL, apart=(2, 1, 2, 3, 4, 3), together=(2, 9, 2, 4)),
    "open batch": squeezed("N", 3, 8, 10, apart=(-1, 3, 4, 2, 5, 2), together=(0, 12, 4, 5)),
    "an old opset": squeezed(2, 3, 8, 10, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5), opset=9),
    "double": squeezed(
        2, 3, 8, 10, perm=CHANNEL, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5), dtype=np.float64
    ),
    "the split is returned": squeezed(
        2, 3, 8, 10, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5), returned="split"
    ),
}

NEAR_MISSES = {
    "the_block_is_square": [
        squeezed(2, 3, 8, 15, apart=(2, 3, 4, 2, 5, 3), together=(2, 18, 4, 5)),
        squeezed(2, 3, 12, 10, perm=CHANNEL, apart=(2, 3, 4, 3, 5, 2), together=(2, 18, 4, 5)),
    ],
    "the_axes_are_split_and_joined_so": [
        squeezed(2, 3, 10, 8, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5)),
        squeezed(2, 3, 8, 10, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 5, 4)),
        squeezed(2, 6, 8, 5, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5)),
        squeezed("N", 3, 8, 10, apart=(-1, 3, 4, 2, 5, 2), together=(0, 12, 3, 5)),
    ],
    "nothing_else_reads_the_permuted_pixels": [
        squeezed(2, 3, 8, 10, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5), returned="mixed")
    ],
}

OTHERS = {
    "another order": squeezed(
        2, 3, 8, 10, perm=(0, 5, 3, 1, 2, 4), apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5)
    ),
    "half": squeezed(2, 3, 8, 10, apart=(2, 3, 4, 2, 5, 2), together=(2, 12, 4, 5), dtype=np.float16),
    "unknown channels": squeezed(2, "C", 8, 10, apart=(2, -1, 4, 2, 5, 2), together=(2, -1, 4, 5)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseReshapesIntoSpaceToDepth()]).run(OTHERS[other](Draw(dyadic=True)))
    assert not trace.applications


def test_a_convolution_takes_over_the_order_of_unshuffled_pixels() -> None:
    b, draw = GraphBuilder("g", opset=17), Draw(dyadic=False)
    x = b.input("x", shape=("N", 3, 8, 10))
    split = b.add(Reshape(), x, np.array([-1, 3, 4, 2, 5, 2]))
    y = b.add(Reshape(), b.add(Transpose(perm=CHANNEL), split), np.array([-1, 12, 4, 5]))
    b.output(b.add(Conv.of(2), y, draw.weight(6, 12, 3, 2)), name="y")
    result = optimize(to_onnx(b.build()), level="clean")
    assert result.verification is not None
    assert result.verification.equal, result.verification.reason
    assert [node.op_type for node in result.proto.graph.node] == ["SpaceToDepth", "Conv"]
    assert not optimize(result.proto, level="clean", verify=False).changed
