"""Store what a map is the product of, and leave the product to whoever loads the model.

    x + M  ->  x + (U · K) · V        M (…, H, W), U (H, r), K (…, r, s), V (s, W), r and s small

What padding or coordinates add to an image is one number for each of its elements, but few different rows:
between its borders a map repeats, or is a slope. All rows are sums of multiples of r of them, all columns of
s, which are read off the numbers. The products are operations on constants, which runtimes compute once, when
they load the model, and cost nothing in any run. Exact where rows repeat; else floating point differs by the
roundings of the products, which are at most a few of the largest number in the same row, and column.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convgraph.analysis.cost import parameters, weight
from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import Add, MatMul, Op
from convgraph.ir.tensor import Array, DataType, Tensor
from convgraph.passes.algebra.constant_weight import seen_once
from convgraph.passes.algebra.factors import evened, unit_roundoff
from convgraph.passes.rewrite import Measure, Rewrite, requirement

_LEAST = 8  # rows and columns that a map has
_MOST = 12  # rows that all are made of
_SAMPLE = 8  # images that are looked at first
_ROUNDINGS = 16  # that a number may differ by, of what those in its row and column add up
_WORTH = 1 << 10  # bytes: what is less is not worth an operation
_PRECISE = (DataType.FLOAT, DataType.DOUBLE)  # in half precision runtimes may round otherwise


class Factors(NamedTuple):
    """What a map is the product of."""

    left: Array
    core: Array
    right: Array

    @property
    def product(self) -> Array:
        """The map."""
        made: Array = (self.left @ self.core) @ self.right
        return made

    @property
    def bound(self) -> Array:
        """What numbers add up, without signs: the most in each one's row, or column where that is less."""
        made: Array = (np.abs(self.left) @ np.abs(self.core)) @ np.abs(self.right)
        most: Array = np.minimum(made.max(axis=-1, keepdims=True), made.max(axis=-2, keepdims=True))
        return most

    @property
    def size(self) -> int:
        """How many numbers they are."""
        return self.left.size + self.core.size + self.right.size


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedMap:
    """A sum, and the map that is added."""

    node: int
    map: Value


@dataclass(frozen=True, kw_only=True)
class MultiplyMapsAtLoad(Rewrite[AddedMap]):
    """Store what a map is the product of, and leave the product to whoever loads the model."""

    name: ClassVar[str] = "multiply-maps-at-load"
    roots: ClassVar[tuple[type[Op], ...]] = (Add,)
    after: ClassVar[tuple[str, ...]] = (
        "compose-average-pool-into-conv",
        "compose-convs",
        "fold-coordinate-channels",
        "fold-shift-into-border-map",
        "merge-added-constants",
    )
    makes: ClassVar[tuple[type[Op], ...]] = (MatMul,)
    measure: ClassVar[Measure] = staticmethod(parameters)

    def find(self, graph: Graph, node: int) -> AddedMap | None:
        """A number for each pixel, from a constant, that is added to an image."""
        for value, other in zip(graph.operands(node), reversed(graph.operands(node)), strict=True):
            tensor = None if value is None or other is None else weight(graph, value)
            if value is None or other is None or tensor is None or weight(graph, other) is not None:
                continue
            shape = tensor.shape
            if len(shape) > 2 and min(shape[-2:]) >= _LEAST and tensor.dtype in _PRECISE and tensor.size:
                return AddedMap(node=node, map=value)
        return None

    @requirement
    def the_map_is_constant(self, graph: Graph, m: AddedMap) -> bool:
        """The map is a constant that no caller can override."""
        return graph.constant(m.map) is not None

    @requirement
    def few_rows_make_all_others(self, graph: Graph, m: AddedMap) -> bool:
        """All rows and columns are sums of multiples of a few, up to a few roundings."""
        return _factors(_tensor(graph, m)) is not None

    @requirement
    def it_takes_less_room(self, graph: Graph, m: AddedMap) -> bool:
        """What is stored takes at least a kibibyte less than the map does, which nothing but sums reads."""
        tensor = _tensor(graph, m)
        factors = _factors(tensor)
        assert factors is not None
        goes = not graph.is_output(m.map) and len(_sums(graph, m)) == len(graph.readers(m.map))
        return ((tensor.size if goes else 0) - factors.size) * factors.core.itemsize >= _WORTH

    def apply(self, edit: Edit, m: AddedMap) -> None:
        """Put the product in the map's place, wherever it is added."""
        factors = _factors(_tensor(edit.graph, m))
        assert factors is not None
        uses = _sums(edit.graph, m)
        left, right = (edit.constant(array, name="multiples") for array in (factors.left, factors.right))
        rows = edit.add(MatMul(), left, edit.constant(factors.core, like=m.map))
        made = edit.add(MatMul(), rows, right)
        for use in uses:
            edit.rewire(use, made)


def _sums(graph: Graph, m: AddedMap) -> list[Use]:
    """Where the map is added."""
    return [use for use in graph.readers(m.map) if isinstance(graph.op(use.node), Add)]


def _tensor(graph: Graph, m: AddedMap) -> Tensor:
    tensor = graph.constant(m.map)
    assert tensor is not None
    return tensor


@seen_once
def _factors(tensor: Tensor) -> Factors | None:
    """What a map is the product of; None where its rows or columns are too many different ones."""
    array = tensor.numpy()
    if not np.isfinite(array).all():
        return None
    height, width = array.shape[-2:]
    images, unit = array.reshape(-1, height, width), unit_roundoff(array)
    if _rows_and_columns(images[:_SAMPLE], unit=unit) is None:
        return None
    found = _rows_and_columns(images, unit=unit)
    if found is None:
        return None
    rows, columns = found
    core = array[..., rows.of, :][..., columns.of]
    by = [np.ascontiguousarray(one.astype(array.dtype)) for one in (rows.by, columns.by.T)]
    factors = Factors(by[0], core, by[1])
    off = np.abs(factors.product.astype(np.float64) - array)
    return factors if np.all(off <= _ROUNDINGS * unit * factors.bound) else None


class _Multiples(NamedTuple):
    """Which rows of a matrix all others are made of, and how often each is taken: (rows, len(of))."""

    of: list[int]
    by: NDArray[np.float64]


def _rows_and_columns(images: Array, *, unit: float) -> tuple[_Multiples, _Multiples] | None:
    """Which rows and columns of images (any, H, W) all others are made of; None where these are many."""
    even = evened(images)[0]
    lines = (np.moveaxis(even, axis, 0).reshape(even.shape[axis], -1) for axis in (1, 2))
    rows, columns = (_multiples(each, unit=unit) for each in lines)
    return None if rows is None or columns is None else (rows, columns)


def _multiples(matrix: NDArray[np.float64], *, unit: float) -> _Multiples | None:
    """The rows that all others are sums of multiples of, up to rounding; None where these are many.

    The next row is the one that those before leave most of (Businger and Golub's pivoting).
    """
    rest, chosen = matrix.copy(), list[int]()
    while (left := np.abs(rest).max(axis=1)).max() > _ROUNDINGS * unit:
        if len(chosen) == _MOST:
            return None
        chosen.append(int(left.argmax()))
        direction = rest[chosen[-1]] / np.linalg.norm(rest[chosen[-1]])
        rest -= np.outer(rest @ direction, direction)
    chosen = sorted(chosen) or [0]
    by = np.linalg.lstsq(matrix[chosen].T, matrix.T, rcond=None)[0].T
    whole = np.rint(by)
    return _Multiples(chosen, np.where(np.abs(by - whole) < 4 * _ROUNDINGS * unit, whole, by))
