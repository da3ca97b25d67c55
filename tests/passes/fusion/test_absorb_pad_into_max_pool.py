"""Tables for absorb-pad-into-max-pool."""

from dataclasses import replace

import numpy as np
import onnx.parser
from laws.draw import Draw
from laws.padded import pooled, window_on_pad

from convgraph.importers.onnx_model import from_onnx
from convgraph.ir.ops import LeakyRelu, MaxPool, Relu
from convgraph.passes import Pipeline
from convgraph.passes.fusion.absorb_pad_into_max_pool import AbsorbPadIntoMaxPool

PADS = (0, 0, 1, 2, 0, 0, 0, 1)
POOL = MaxPool.of((2, 3), strides=2)
LOWEST = float(np.finfo(np.float32).min)

EXAMPLES = {
    "minus infinity": window_on_pad(pooled(POOL), PADS, fill=-np.inf),
    "lowest number": window_on_pad(pooled(POOL), PADS, fill=LOWEST),
    "half": window_on_pad(
        pooled(POOL), PADS, fill=np.finfo(np.float16).min, dtype=np.float16, spatial=(7, 6)
    ),
    "double": window_on_pad(pooled(POOL), PADS, fill=-np.inf, dtype=np.float64),
    "zeros after a relu": window_on_pad(pooled(POOL), PADS, before=Relu()),
    "less than a relu leaves": window_on_pad(pooled(POOL), PADS, before=Relu(), fill=-1.0),
    "bytes": window_on_pad(pooled(POOL), PADS, fill=-128, dtype=np.int8),
    "unsigned bytes, 0 the lowest": window_on_pad(pooled(POOL), PADS, dtype=np.uint8),
    "own pads": window_on_pad(
        pooled(MaxPool.of((3, 3), strides=2, pads=(1, 0, 0, 1))), (1, 2, 0, 1), axes=(2, 3), fill=-np.inf
    ),
    "1-D": window_on_pad(pooled(MaxPool.of((3,))), (2, 1), axes=(-1,), fill=-np.inf, spatial=("L",)),
    "3-D": window_on_pad(
        pooled(MaxPool.of((2, 3, 2))), (1, 2, 0, 0, 1, 1), axes=(2, 3, 4), fill=LOWEST, spatial=("H", 6, "W")
    ),
    "dilation": window_on_pad(
        pooled(MaxPool.of((3, 2), dilations=2)), (0, 0, 2, 1, 0, 0, 1, 0), fill=-np.inf, spatial=(7, 5)
    ),
    "rounded up": window_on_pad(
        pooled(MaxPool.of((3, 3), strides=2, ceil_mode=1)),
        (0, 0, 1, 1, 0, 0, 0, 1),
        fill=-np.inf,
        spatial=(7, 6),
    ),
    "on a border of zeros": window_on_pad(pooled(POOL), PADS, fill=-np.inf, bordered=True, opset=18),
    "several readers": window_on_pad(pooled(POOL), PADS, fill=-np.inf, readers=2),
}

NEAR_MISSES = {
    "no_element_is_below_what_it_pads_with": [
        window_on_pad(pooled(POOL), PADS),
        window_on_pad(pooled(POOL), PADS, fill=0.0),
        window_on_pad(pooled(POOL), PADS, fill=-1.0),
        window_on_pad(pooled(POOL), PADS, before=LeakyRelu(alpha=0.25)),
        window_on_pad(pooled(POOL), PADS, before=Relu(), fill=1.0),
        window_on_pad(pooled(POOL), PADS, dtype=np.int8),
        window_on_pad(pooled(POOL), PADS, asked=True),
    ],
    "the_indices_are_unread": [
        window_on_pad(pooled(POOL, indices=True), PADS, fill=LOWEST, spatial=(7, 6)),
    ],
    "it_pads_with_one_number": [window_on_pad(pooled(POOL), PADS, fill=-np.inf, mode="wrap")],
    "the_amounts_are_known": [window_on_pad(pooled(POOL), PADS, fill=-np.inf, overridable=True)],
    "only_spatial_axes_are_padded": [window_on_pad(pooled(POOL), (0, 1, 1, 1, 0, 0, 1, 1), fill=LOWEST)],
    "nothing_is_cropped": [
        window_on_pad(pooled(MaxPool.of((3, 3), pads=1)), (0, 0, -1, 1, 0, 0, 1, 1), fill=-np.inf)
    ],
    "the_window_states_its_own_pads": [
        window_on_pad(
            pooled(replace(MaxPool.of((3, 3), strides=2), auto_pad="SAME_UPPER")), PADS, fill=LOWEST
        )
    ],
    "every_window_meets_the_data": [
        window_on_pad(pooled(MaxPool.of((2, 3))), (0, 0, 2, 0, 0, 0, 0, 0), fill=LOWEST),
        window_on_pad(pooled(MaxPool.of((2, 3), dilations=(5, 1))), (0, 0, 1, 0, 0, 0, 1, 0), fill=LOWEST),
        window_on_pad(
            pooled(MaxPool.of((2, 3), dilations=(4, 1))),
            (0, 0, 1, 0, 0, 0, 1, 0),
            fill=LOWEST,
            spatial=(3, 7),
        ),
    ],
    "rounding_up_gives_the_same_size": [
        window_on_pad(
            pooled(MaxPool.of((2, 3), strides=(2, 2), ceil_mode=1)),
            (0, 0, 0, 0, 0, 0, 1, 0),
            fill=LOWEST,
            spatial=(6, 7),
        ),
        window_on_pad(
            pooled(MaxPool.of((2, 3), strides=2, ceil_mode=1)), (0, 0, 0, 0, 0, 0, 1, 0), fill=LOWEST
        ),
    ],
}


def test_elements_of_a_type_that_is_not_known_have_no_lowest_number() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "elsewhere" : 1]>
    g (float[N, 4, 6, 5] x) => (y) <int64[8] pads = {0, 0, 1, 1, 0, 0, 0, 0}, float low = {-inf}> {
        made = elsewhere.Made(x) padded = Pad(made, pads, low) y = MaxPool <kernel_shape = [2, 3]> (padded)
    }"""
    _, trace = Pipeline([AbsorbPadIntoMaxPool()]).run(from_onnx(onnx.parser.parse_model(text)))
    assert [refusal.requirement for refusal in trace.refusals] == ["no_element_is_below_what_it_pads_with"]


def test_between_zeros_and_the_pool_it_stays_where_no_pad_can_name_its_axes() -> None:
    for opset, applications in ((17, 0), (18, 1)):
        graph = window_on_pad(pooled(POOL), PADS, fill=-np.inf, bordered=True, opset=opset)(Draw(dyadic=True))
        _, trace = Pipeline([AbsorbPadIntoMaxPool()]).run(graph)
        assert len(trace.applications) == applications
