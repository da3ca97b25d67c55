"""Tables for fuse-reshapes-into-depth-to-space."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from laws.draw import Draw
from laws.shuffled import rearranged

from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Dim
from convgraph.passes import FuseReshapesIntoDepthToSpace, Pipeline

CRD, DCR = (0, 1, 4, 2, 5, 3), (0, 3, 4, 1, 5, 2)


def grown(
    *x: Dim,
    apart: Sequence[int],
    together: Sequence[int],
    perm: Sequence[int] = CRD,
    dtype: type = np.float32,
    opset: int = 17,
    returned: str = "",
) -> Callable[[Draw], Graph]:
    """Channels that become pixels, the channel before the block unless ``perm`` says otherwise."""
    return rearranged(
        *x, apart=apart, perm=perm, together=together, dtype=dtype, opset=opset, returned=returned
    )


EXAMPLES = {
    "channel first": grown(2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10)),
    "block first": grown(2, 12, 4, 5, perm=DCR, apart=(2, 2, 2, 3, 4, 5), together=(2, 3, 8, 10)),
    "one channel": grown(2, 9, 4, 5, apart=(2, 1, 3, 3, 4, 5), together=(2, 1, 12, 15)),
    "one channel, block first": grown(
        2, 9, 4, 5, perm=DCR, apart=(2, 3, 3, 1, 4, 5), together=(2, 1, 12, 15)
    ),
    "open batch": grown("N", 12, 4, 5, apart=(-1, 3, 2, 2, 4, 5), together=(-1, 3, 8, 10)),
    "open batch that is kept": grown("N", 12, 4, 5, apart=(0, 3, 2, 2, 4, 5), together=(0, -1, 8, 10)),
    "open height": grown("N", 12, "H", 5, apart=(0, 3, 2, 2, -1, 5), together=(0, 3, -1, 10)),
    "an old opset": grown(2, 12, 4, 5, perm=DCR, apart=(2, 2, 2, 3, 4, 5), together=(2, 3, 8, 10), opset=9),
    "double": grown(2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10), dtype=np.float64),
    "the split is returned": grown(
        2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10), returned="split"
    ),
}

NEAR_MISSES = {
    "the_block_is_square": [
        grown(2, 18, 4, 5, apart=(2, 3, 2, 3, 4, 5), together=(2, 3, 8, 15)),
        grown(2, 18, 4, 5, perm=DCR, apart=(2, 3, 2, 3, 4, 5), together=(2, 3, 12, 10)),
    ],
    "the_axes_are_split_and_joined_so": [
        grown(2, 3, 8, 20, apart=(2, 3, 2, 2, 4, 10), together=(2, 3, 8, 20)),
        grown(2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 10, 8)),
        grown(2, 12, 5, 4, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10)),
        grown(2, 8, 6, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10)),
    ],
    "nothing_else_reads_the_permuted_pixels": [
        grown(2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10), returned="mixed")
    ],
}

OTHERS = {
    "another order": grown(
        2, 12, 4, 5, perm=(0, 1, 4, 3, 5, 2), apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10)
    ),
    "an old opset": grown(2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10), opset=10),
    "half": grown(2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 8, 10), dtype=np.float16),
    "a volume": grown(2, 12, 4, 5, apart=(2, 3, 2, 2, 4, 5), together=(2, 3, 4, 2, 10)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_anything_else_is_left_alone(other: str) -> None:
    _, trace = Pipeline([FuseReshapesIntoDepthToSpace()]).run(OTHERS[other](Draw(dyadic=True)))
    assert not trace.applications
