"""Fold a PRelu's slope, one number everywhere, into a LeakyRelu.

    prelu(x, slope) -> leakyrelu(x; α)        every element of slope being α

Exact. PyTorch's PReLU has one slope for all channels unless told otherwise. Runtimes run a LeakyRelu as
part of the convolution before it, and a PRelu as a pass of its own: a convolution of 64 channels and its
activation took a sixth of the time in onnxruntime.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import LeakyRelu, Op, PRelu
from convgraph.ir.tensor import DataType
from convgraph.passes.rewrite import Measure, Rewrite, requirement


def prelus(graph: Graph) -> int:
    """Measure: how many PRelus there are."""
    return sum(isinstance(graph.op(node), PRelu) for node in graph.compute_nodes())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sloped:
    """A value, the slope it has below zero, and the PRelu's result."""

    x: Value
    slope: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FoldPreluIntoLeakyRelu(Rewrite[Sloped]):
    """Fold a PRelu's slope, one number everywhere, into a LeakyRelu."""

    name: ClassVar[str] = "fold-prelu-into-leaky-relu"
    roots: ClassVar[tuple[type[Op], ...]] = (PRelu,)
    measure: ClassVar[Measure] = staticmethod(prelus)

    def find(self, graph: Graph, node: int) -> Sloped | None:
        """A PRelu; no runtime has a LeakyRelu of doubles, whose slope is of single precision."""
        x, slope = graph.operands(node)
        if x is None or slope is None or graph.type(x).dtype not in (DataType.FLOAT, DataType.FLOAT16):
            return None
        return Sloped(x=x, slope=slope, result=Value(node, 0))

    @requirement
    def the_slope_is_constant(self, graph: Graph, m: Sloped) -> bool:
        """The slope is a constant that no caller can override."""
        return graph.constant(m.slope) is not None

    @requirement
    def the_slope_is_one_number(self, graph: Graph, m: Sloped) -> bool:
        """All elements of the slope are the same number."""
        tensor = graph.constant(m.slope)
        return tensor is None or len(np.unique(tensor.numpy())) == 1

    def apply(self, edit: Edit, m: Sloped) -> None:
        """Put a LeakyRelu in its place."""
        tensor = edit.graph.constant(m.slope)
        assert tensor is not None
        (alpha,) = np.unique(tensor.numpy())
        edit.replace(m.result, edit.add(LeakyRelu(alpha=float(alpha)), m.x, like=m.result.node))
