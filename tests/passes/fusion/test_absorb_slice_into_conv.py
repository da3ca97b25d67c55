"""Tables for absorb-slice-into-conv."""

import numpy as np
from laws.sliced import FAR, activated, automatic, sliced

from convgraph.ir.ops import Conv, ConvTranspose

CAUSAL = Conv.of(1, pads=4, dilations=2)  # kernel 3
UP = ConvTranspose.of(2, strides=(2, 1), pads=(1, 0, 0, 0))

EXAMPLES = {
    "causal": sliced(CAUSAL, (2, 0, -4), kernel=(3,), spatial=("L",)),
    "anticausal": sliced(CAUSAL, (2, 4, FAR), kernel=(3,), spatial=("L",)),
    "one row": sliced(Conv.of(2, pads=(2, 1, 1, 1)), (2, 0, -1)),
    "one column, no bias": sliced(Conv.of(2, pads=1), (3, 1, FAR), bias=False),
    "both axes": sliced(Conv.of(2, pads=(4, 2, 1, 1)), (3, 1, -1), (-2, 2, FAR)),
    "strides": sliced(Conv.of(2, pads=(2, 2, 4, 0), strides=(2, 1)), (2, 1, -1), spatial=(9, 7)),
    "known sizes": sliced(Conv.of(2, pads=2), (2, -9, 9), (3, 1, 6), spatial=(7, 5)),
    "beyond both ends": sliced(Conv.of(2, pads=1), (2, -99, 99), spatial=(7, 5)),
    "groups": sliced(Conv.of(2, pads=1, group=2), (3, 0, -1)),
    "3-D": sliced(Conv.of(3, pads=1), (4, 0, -1), kernel=(3, 2, 2), spatial=("H", "W", 5)),
    "an activation inside": sliced(activated(Conv.of(2, pads=1)), (3, 0, -1)),
    "pads by rule": sliced(automatic(Conv.of(2), "SAME_LOWER"), (2, 1, FAR), spatial=(7, 5)),
    "half": sliced(Conv.of(2, pads=1), (3, 0, -1), dtype=np.float16),
    "double": sliced(Conv.of(2, pads=1), (3, 0, -1), dtype=np.float64),
    "transposed": sliced(UP, (2, 1, -1), kernel=(4, 2)),
    "transposed, more than the kernel": sliced(UP, (2, 4, -3), (3, 0, -2), spatial=(7, 5)),
    "transposed groups": sliced(ConvTranspose.of(2, group=2), (3, 1, FAR)),
    "transposed to a shape": sliced(
        ConvTranspose(strides=(2, 2), pads=(0,) * 4, dilations=(1, 1), output_shape=(13, 9)),
        (2, 0, -1),
        spatial=(7, 5),
    ),
    "cropped by a Pad": sliced(Conv.of(2, pads=(2, 1, 1, 1)), crop=(0, 0, -1, 0, 0, 0, 0, -1)),
    "transposed, cropped by a Pad": sliced(UP, crop=(0, 0, -1, 0, 0, 0, 0, 0)),
    "output padding": sliced(
        ConvTranspose(strides=(2, 2), pads=(0,) * 4, dilations=(1, 1), output_padding=(1, 0)),
        (2, 0, -1),
    ),
}

NEAR_MISSES = {
    "it_cuts_off_ends": [
        sliced(Conv.of(2, pads=1), (2, 0, FAR, 2)),
        sliced(Conv.of(2, pads=1), (2, -1, -FAR, -1)),
        sliced(Conv.of(2, pads=1), (1, 1, FAR)),
        sliced(Conv.of(2, pads=1), (0, 0, 1)),
        sliced(Conv.of(2, pads=3), (2, 0, 3)),  # the first rows, however many there are
        sliced(Conv.of(2, pads=3), (2, -3, FAR)),
        sliced(Conv.of(2, pads=1), (2, 0, -1), computed=True),
        sliced(Conv.of(2, pads=1), crop=(0, 0, 0, 1, 0, 0, 0, -1)),
    ],
    "nothing_else_reads_the_convolution": [
        sliced(Conv.of(2, pads=1), (3, 0, -1), also="returned"),
        sliced(Conv.of(2, pads=1), (3, 0, -1), also="read"),
    ],
    "the_pads_are_known": [
        sliced(automatic(Conv.of(2, strides=2), "SAME_UPPER"), (2, 1, FAR)),
    ],
    "the_padding_covers_the_cut": [
        sliced(Conv.of(2, pads=1), (2, 0, -2)),
        sliced(Conv.of(2, pads=1, strides=(2, 1)), (2, 1, FAR)),
    ],
    "something_is_left": [
        sliced(Conv.of(2, pads=(3, 0, 4, 0)), (2, 3, -4), kernel=(7, 2), spatial=(6, 5)),
    ],
}
