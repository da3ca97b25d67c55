"""Tables for absorb-pad-into-average-pool. Windows of 2ᵏ elements keep dyadic means exact."""

from dataclasses import replace

import numpy as np
from laws.padded import pooled, window_on_pad

from convgraph.ir.ops import AveragePool

PADS = (0, 0, 1, 3, 0, 0, 0, 1)
POOL = AveragePool.of((2, 4), strides=2)
OWN = AveragePool.of((2, 4), pads=(1, 0, 0, 2))

EXAMPLES = {
    "no padding counted": window_on_pad(pooled(POOL), PADS),
    "padding counted": window_on_pad(pooled(replace(POOL, count_include_pad=1)), PADS, fill=0.0),
    "own pads, counted": window_on_pad(pooled(replace(OWN, count_include_pad=1)), (0, 0, 0, 2, 0, 0, 1, 1)),
    "negative zero, axes": window_on_pad(pooled(POOL), (1, 1), axes=(-1,), fill=-0.0),
    "1-D": window_on_pad(pooled(AveragePool.of((4,))), (0, 0, 2, 0, 0, 3), spatial=("L",)),
    "3-D": window_on_pad(
        pooled(AveragePool.of((2, 4, 1))), (0, 0, 1, 0, 0, 0, 0, 0, 2, 0), spatial=("H", "W", 5)
    ),
    "several readers": window_on_pad(pooled(POOL), PADS, readers=2),
    "returned": window_on_pad(pooled(POOL), PADS, returned=True),
    "half": window_on_pad(pooled(POOL), PADS, dtype=np.float16),
    "rounded up to the same": window_on_pad(
        pooled(AveragePool.of((2, 4), strides=2, ceil_mode=1)), (0, 0, 1, 1, 0, 0, 0, 0), spatial=(7, 5)
    ),
}

NEAR_MISSES = {
    "it_pads_with_zero": [window_on_pad(pooled(POOL), PADS, fill=2.0)],
    "the_pool_counts_its_own_padding": [window_on_pad(pooled(OWN), (0, 0, 0, 2, 0, 0, 1, 1))],
    "it_pads_with_one_number": [window_on_pad(pooled(POOL), PADS, mode="edge")],
    "the_amounts_are_known": [window_on_pad(pooled(POOL), PADS, overridable=True)],
    "only_spatial_axes_are_padded": [window_on_pad(pooled(POOL), (0, 1, 1, 1, 0, 0, 1, 1))],
    "nothing_is_cropped": [
        window_on_pad(
            pooled(replace(AveragePool.of((2, 2), pads=1), count_include_pad=1)), (0, 0, -1, 0, 0, 0, 0, 0)
        )
    ],
    "the_window_states_its_own_pads": [
        window_on_pad(pooled(replace(AveragePool.of((2, 4), strides=2), auto_pad="SAME_UPPER")), PADS)
    ],
    "every_window_meets_the_data": [
        window_on_pad(pooled(AveragePool.of((2, 4))), (0, 0, 2, 0, 0, 0, 0, 0)),
    ],
    "rounding_up_gives_the_same_size": [
        window_on_pad(
            pooled(AveragePool.of((2, 2), strides=2, ceil_mode=1)), (0, 0, 0, 0, 0, 0, 1, 0), spatial=(6, 8)
        ),
        window_on_pad(pooled(AveragePool.of((2, 4), strides=2, ceil_mode=1)), (0, 0, 0, 0, 0, 0, 1, 0)),
    ],
}
