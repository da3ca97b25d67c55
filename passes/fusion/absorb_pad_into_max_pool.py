"""Absorb a Pad with the lowest number of the element type into the MaxPool that reads it.

    maxpool(pad(x; a, −∞); pads p)  ->  maxpool(x; pads p + a)        a ≥ 0, spatial axes only

A MaxPool leaves its padding out, which is the same as padding with what no element is below: −∞, or the
lowest finite number (then for every x above −∞). Never zero, which wins over negative elements, where the
type has negative numbers. Exact.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import MaxPool, Op
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.padded_window import AbsorbPad, IntoPool, PaddedWindow, padded_window
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class AbsorbPadIntoMaxPool(AbsorbPad, IntoPool):
    """Absorb a Pad with the lowest number of the element type into the MaxPool that reads it."""

    name: ClassVar[str] = "absorb-pad-into-max-pool"
    roots: ClassVar[tuple[type[Op], ...]] = (MaxPool,)

    def find(self, graph: Graph, node: int) -> PaddedWindow | None:
        """A MaxPool of a Pad's result."""
        return padded_window(graph, node)

    @requirement
    def it_pads_with_the_lowest_number(self, graph: Graph, m: PaddedWindow) -> bool:
        """The Pad adds −∞ or the lowest number of the element type, below which no element is."""
        dtype = graph.type(m.data).dtype
        return dtype is not DataType.UNDEFINED and m.fill is not None and m.fill <= _lowest(dtype)

    @requirement
    def the_indices_are_unread(self, graph: Graph, m: PaddedWindow) -> bool:
        """Nothing reads where the maxima were: that counts through the padded data."""
        results = graph.results(m.window)[1:]
        return not any(graph.is_output(value) or graph.readers(value) for value in results)


def _lowest(dtype: DataType) -> float:
    if not dtype.is_float:
        return float(np.iinfo(dtype.numpy).min)
    wide = dtype in (DataType.FLOAT16, DataType.FLOAT, DataType.DOUBLE)
    return float(np.finfo(dtype.numpy).min) if wide else -np.inf
