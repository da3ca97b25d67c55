"""Random networks, wide: every operation and spelling that a rewrite looks at, in every combination.

A network is made of steps that each add one operation, or one motif of two to five (branches that are added,
a resized map before a convolution, pixels traded for channels), to the values so far. A step whose shapes do
not fit is left out. The same seed gives the same network.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fuzz.drawn import Network
from fuzz.motifs import (
    branches,
    chain,
    coordinates,
    cut,
    head,
    idle,
    join,
    matrix,
    rearrange,
    shuffle,
    siblings,
    spelled_out,
    split,
    squeeze_and_excite,
    upsampled,
)
from fuzz.steps import (
    activate,
    arithmetic,
    convolve,
    normalise,
    pad,
    pointwise,
    pool,
    resize,
    transpose_convolve,
)

from convgraph.errors import ConvgraphError
from convgraph.ir.build import GraphBuilder
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Relu,
)
from convgraph.ir.tensor import DataType

LARGEST = 30_000  # elements of a value
SIZES = ({"N": 2, "H": 8, "W": 12}, {"N": 3, "H": 12, "W": 9}, {"N": 1, "H": 6, "W": 7})
TYPES = (DataType.DOUBLE, DataType.DOUBLE, DataType.FLOAT, DataType.FLOAT, DataType.FLOAT16)

Step = Callable[[Network, Value], Value]


STEPS: tuple[Step, ...] = (
    *[convolve] * 5,
    *[pointwise] * 3,
    *[transpose_convolve] * 4,
    *[normalise] * 3,
    *[arithmetic] * 6,
    *[activate] * 4,
    *[pool] * 3,
    *[pad] * 3,
    *[resize] * 2,
    *[upsampled] * 2,
    *[branches] * 2,
    *[siblings] * 2,
    *[chain] * 3,
    *[split] * 2,
    *[shuffle] * 2,
    *[cut] * 2,
    *[rearrange] * 2,
    coordinates,
    matrix,
    squeeze_and_excite,
    *[join] * 3,
    idle,
    *[spelled_out] * 3,
    head,
)


def network(seed: int, *, newest: bool = False, types: Sequence[DataType] = TYPES) -> Graph:
    """The network with this number, of the newest opset or of one that may not have all it needs."""
    return drawn_network(np.random.default_rng(seed), newest=newest, types=types)


def drawn_network(rng: Any, *, newest: bool, types: Sequence[DataType]) -> Graph:
    """The network that ``rng``, a ``numpy.random.Generator`` or what answers like one, decides for."""
    net = _started(rng, newest=newest, types=types)
    for _ in range(net.number(1, 2, 3, 4, 5, 6, 8, 12)):
        recent = net.chance(0.75)
        x = net.values[-1] if recent else net.values[net.number(*range(len(net.values)))]
        _grown(net, x, STEPS[net.number(*range(len(STEPS)))])
    computed = net.values[1:] or net.values
    if not net.values[1:]:
        computed = [net.add(Relu(), net.values[0])]
    net.builder.output(computed[-1], name="y")
    for place, value in enumerate(computed[:-1]):
        if net.chance(0.08):
            net.builder.output(value, name=f"y{place}")
    return net.builder.build()


def _started(rng: Any, *, newest: bool, types: Sequence[DataType]) -> Network:
    drawn = int(rng.choice([9, 11, 13, 15, 17, 18, 19, 21]))
    opset = 21 if newest else drawn
    rank = int(rng.choice([1, 2, 2, 2, 2, 3]))
    builder = GraphBuilder("random", opset=opset)
    dtype = types[int(rng.integers(len(types)))]
    spatial: list[int | str] = [int(n) for n in rng.choice([[8, 12, 5], [7, 9, 4], [12, 8, 6]])[:rank]]
    if rng.random() < 0.3 and rank == 2:
        spatial = ["H", "W"]
    batch: int | str = "N" if rng.random() < 0.5 else 2
    channels = int(rng.choice([1, 3, 4, 4, 8]))
    x = builder.input("x", shape=(batch, channels, *spatial), dtype=dtype)
    return Network(rng=rng, builder=builder, dtype=dtype, rank=rank, values=[x], shared={}, opset=opset)


def _grown(net: Network, x: Value, step: Step) -> None:
    """One step further; nothing, where the shapes do not fit or grow too large."""
    try:
        y = step(net, x)
    except (ConvgraphError, AssertionError, ValueError):
        return
    shape = net.shape(y)
    known = [d if isinstance(d, int) else 9 for d in shape]
    if len(shape) == net.rank + 2 and isinstance(shape[1], int) and 0 < math.prod(known) <= LARGEST:
        net.values.append(y)
