"""The random networks of ``fuzz.generator`` as a hypothesis strategy: what fails is made small."""

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
from fuzz.generator import TYPES, drawn_network
from hypothesis import reject

from convgraph.errors import UnsupportedOp
from convgraph.exporters.onnx_model import to_onnx
from convgraph.ir.graph import Graph
from convgraph.ir.tensor import Array, DataType

Draw = Callable[[st.SearchStrategy[Any]], Any]
_PARTS = 1000


class Drawn:
    """What the generator asks of numpy's: decisions are drawn one by one, elements of tensors all at once.

    The simplest answer to whether something odd is wanted is no.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._elements = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """Below ``low``, or from ``low`` to below ``high``."""
        if size is not None:
            return self._elements.integers(low, high, size)
        first, end = (0, low) if high is None else (low, high)
        return self._draw(st.integers(int(first), int(end) - 1))

    def choice(self, options: Sequence[Any]) -> Any:
        """One of the options; the first is the simplest."""
        return self._draw(st.sampled_from(list(options)))

    def random(self, size: Any = None) -> Any:
        """From 0 to below 1."""
        if size is not None:
            return self._elements.random(size)
        return (_PARTS - 1 - self._draw(st.integers(0, _PARTS - 1))) / _PARTS

    def normal(self, *, size: Any) -> Array:
        """Elements of a tensor."""
        return self._elements.normal(size=size)

    def uniform(self, low: float, high: float, size: Any) -> Array:
        """Elements of a tensor."""
        return self._elements.uniform(low, high, size)

    def permutation(self, number: int) -> Array:
        """An order."""
        return np.asarray(self._draw(st.permutations(range(number))))


@st.composite
def networks(draw: Draw, *, types: Sequence[DataType] = TYPES) -> Graph:
    """A network of an opset that can say it."""
    graph = drawn_network(Drawn(draw), newest=draw(st.booleans()), types=types)
    try:
        to_onnx(graph)
    except UnsupportedOp:
        reject()
    return graph
