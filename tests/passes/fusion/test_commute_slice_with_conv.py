"""Tables for commute-slice-with-conv."""

import numpy as np
from laws.draw import Draw
from laws.sliced import FAR, activated, automatic, sliced

from convgraph.ir.ops import Conv
from convgraph.passes import Pipeline
from convgraph.passes.fusion.commute_slice_with_conv import CommuteSliceWithConv

BELOW = Conv.of(2, pads=(2, 1, 0, 1))

EXAMPLES = {
    "the row above": sliced(BELOW, (2, 0, -1), spatial=(6, "W")),
    "beyond the pads": sliced(Conv.of(2, pads=1), (2, 0, -2), spatial=(7, 5)),
    "at the begin, no bias": sliced(Conv.of(2), (3, 2, FAR), spatial=("H", 9), bias=False),
    "both ends of both axes": sliced(Conv.of(2, pads=1), (2, 2, -3), (3, 3, -2), spatial=(9, 11)),
    "one end covered": sliced(Conv.of(2, pads=2), (2, 1, -3), spatial=(7, 5)),
    "strides": sliced(Conv.of(2, pads=1, strides=(2, 1)), (2, 1, -1), spatial=(13, 5)),
    "groups": sliced(Conv.of(2, group=2, pads=(2, 1, 0, 1)), (2, 0, -1), spatial=(7, 5)),
    "1-D": sliced(Conv.of(1, dilations=2), (2, 1, -1), kernel=(3,), spatial=(13,)),
    "3-D": sliced(Conv.of(3), (4, 0, -1), kernel=(3, 2, 2), spatial=("H", "W", 5)),
    "an activation inside": sliced(activated(BELOW), (2, 0, -1), spatial=(6, 5)),
    "pads by rule": sliced(automatic(Conv.of(2), "SAME_UPPER"), (2, 2, FAR), spatial=(7, 5)),
    "cropped by a Pad": sliced(BELOW, crop=(0, 0, 0, 0, 0, 0, -1, -1), spatial=(6, 5)),
    "double": sliced(BELOW, (2, 0, -1), spatial=(6, "W"), dtype=np.float64),
}

NEAR_MISSES = {
    "it_cuts_off_ends": [
        sliced(BELOW, (2, 0, FAR, 2), spatial=(6, 5)),
        sliced(BELOW, (1, 1, FAR), spatial=(6, 5)),
        sliced(BELOW, (2, 0, -1), spatial=(6, 5), computed=True),
    ],
    "the_pads_are_known": [sliced(automatic(Conv.of(2, strides=2), "SAME_UPPER"), (2, 1, FAR))],
    "nothing_else_reads_the_convolution": [
        sliced(BELOW, (2, 0, -1), spatial=(6, 5), also="returned"),
        sliced(BELOW, (2, 0, -1), spatial=(6, 5), also="read"),
    ],
    "something_is_left": [
        sliced(BELOW, (2, 0, -4), spatial=(3, 5)),
        sliced(Conv.of(2, pads=(9, 0, 0, 0)), (2, 0, -5), spatial=(4, 5)),
    ],
    "the_slice_gets_smaller": [sliced(BELOW, (2, 0, -1), spatial=(6, 5), outside=2)],
}


def test_what_the_pads_make_is_left_to_another() -> None:
    graph = sliced(Conv.of(2, pads=2), (2, 1, -2), spatial=(7, 5))(Draw(dyadic=True))
    _, trace = Pipeline([CommuteSliceWithConv()]).run(graph)
    assert not trace.applications
    assert not trace.refusals
