"""Absorb a Pad with a number that no element is below into the MaxPool that reads it.

    maxpool(pad(x; a, −∞); pads p)  ->  maxpool(x; pads p + a)        a ≥ 0, spatial axes only
    maxpool(pad(relu(x); a, 0); pads p)  ->  maxpool(relu(x); pads p + a)

A MaxPool leaves its padding out, which is the same as padding with what no element is below: −∞, or the
lowest finite number (then for every x above −∞), or the number at which a Relu or Clip ends. Zero wins over
negative elements where there are any. Exact. Keras writes a padded MaxPool so, with zeros after a Relu.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.graph import Graph
from convgraph.ir.ops import MaxPool, Op
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.padded_window import (
    NAMES_AXES,
    AbsorbPad,
    IntoPool,
    PaddedWindow,
    is_padded_with_zero,
    padded_window,
)
from convgraph.passes.fusion.scalars import bounds_of
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class AbsorbPadIntoMaxPool(AbsorbPad, IntoPool):
    """Absorb a Pad with a number that no element is below into the MaxPool that reads it."""

    name: ClassVar[str] = "absorb-pad-into-max-pool"
    roots: ClassVar[tuple[type[Op], ...]] = (MaxPool,)

    def find(self, graph: Graph, node: int) -> PaddedWindow | None:
        """A MaxPool of a Pad's result; where that keeps it apart from zeros added before, the Pad stays."""
        found = padded_window(graph, node)
        if found is None or (graph.model.opset < NAMES_AXES and is_padded_with_zero(graph, found.data)):
            return None
        return found

    @requirement
    def no_element_is_below_what_it_pads_with(self, graph: Graph, m: PaddedWindow) -> bool:
        """The Pad adds −∞, the lowest number of the element type, or what a Relu or Clip leaves at least."""
        dtype, bounds = graph.type(m.data).dtype, bounds_of(graph, m.data.node)
        if dtype is DataType.UNDEFINED or m.fill is None:
            return False
        return m.fill <= max(_lowest(dtype), -np.inf if bounds is None else bounds[0])

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
