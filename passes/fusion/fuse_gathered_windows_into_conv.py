"""Convolve, where a model gathers every window into a column and multiplies the columns by a matrix.

    x′   =  gather(gather(x, i, axis 2), j, axis 4)        (N, C, k, out, l, out)        i[a, p] = d·a + s·p
    y    =  reshape(W · reshape(transpose(x′), (N, C·k·l, out·out)) + b, (N, M, out, out))
    y  ->  conv(x, reshape(W, (M, C, k, l)), b; strides s, dilations d)

Any number of spatial axes; the bias may be missing. Every element of x is read once for every tap it has:
columns take k·l times the memory of the image. Exact: the same products are added up. PyTorch's exporters
spell ``unfold`` (im2col) so: Chellapilla, Puri, Simard, High Performance Convolutional Neural Networks for
Document Processing (2006).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Conv, Gather, MatMul, Op, Reshape, Transpose
from convgraph.ir.tensor import Array, Shape
from convgraph.passes.fusion.channels_last import CONVOLVED
from convgraph.passes.rewrite import Measure, Rewrite, requirement, target_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The image, the places its windows are gathered from along each spatial axis, and the columns they make.

    ``taken`` is what is gathered, before the axes change places.
    """

    x: Value
    places: tuple[Value, ...]
    taken: Value
    columns: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductOfColumns:
    """Columns, their product with a matrix, the sum with a bias, and the image that becomes of it."""

    windows: Columns
    matrix: Value
    product: Value
    bias: Value | None
    flat: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseGatheredWindowsIntoConv(Rewrite[ProductOfColumns]):
    """Convolve, where a model gathers every window into a column and multiplies the columns by a matrix."""

    name: ClassVar[str] = "fuse-gathered-windows-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Reshape,)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> ProductOfColumns | None:
        """A Reshape of a product, perhaps plus something, of a matrix with gathered columns."""
        flat = graph.operand(node, 0)
        if flat is None or graph.type(flat).dtype not in CONVOLVED:
            return None
        product, bias = _summands(graph, flat)
        if not isinstance(graph.producer(product), MatMul):
            return None
        matrix, columns = graph.operands(product.node)
        windows = None if columns is None else _windows(graph, columns)
        if matrix is None or windows is None or graph.type(matrix).rank != 2:
            return None
        return ProductOfColumns(
            windows=windows, matrix=matrix, product=product, bias=bias, flat=flat, result=Value(node, 0)
        )

    @requirement
    def the_parameters_are_constant(self, graph: Graph, m: ProductOfColumns) -> bool:
        """The matrix is a constant, and what is added one number a row of it."""
        matrix = graph.constant(m.matrix)
        return matrix is not None and (m.bias is None or _bias(graph, m) is not None)

    @requirement
    def every_window_is_gathered_once(self, graph: Graph, m: ProductOfColumns) -> bool:
        """The places are constant: all windows there are, in order, at equal steps, their taps likewise."""
        return _geometry(graph, m.windows) is not None

    @requirement
    def a_column_is_a_window(self, graph: Graph, m: ProductOfColumns) -> bool:
        """The axes of the taps are joined with the channels, in order, and those of the windows likewise."""
        shape = _shape(graph, m.windows)
        if shape is None or not _taps_first(graph, m.windows):
            return False
        channels, taps, out = shape
        found = graph.type(m.windows.columns).shape or ()
        return found[1:] == (channels * int(np.prod(taps)), int(np.prod(out)))

    @requirement
    def the_product_becomes_an_image(self, graph: Graph, m: ProductOfColumns) -> bool:
        """The Reshape makes of the columns rows and columns of pixels again."""
        shape = _shape(graph, m.windows)
        rows = graph.type(m.matrix).dim(0)
        return shape is not None and (graph.type(m.result).shape or ())[1:] == (rows, *shape[2])

    @requirement
    def nothing_else_reads_the_product(self, graph: Graph, m: ProductOfColumns) -> bool:
        """Neither the product nor the sum has another reader, so that they go."""
        return all(graph.sole_reader(value) is not None for value in {m.product, m.flat})

    def apply(self, edit: Edit, m: ProductOfColumns) -> None:
        """Put a convolution in its place."""
        graph = edit.graph
        matrix, shape, steps = graph.constant(m.matrix), _shape(graph, m.windows), _geometry(graph, m.windows)
        assert matrix is not None
        assert shape is not None
        assert steps is not None
        channels, taps, _ = shape
        dilations, strides = zip(*steps, strict=True)
        weight = matrix.numpy().reshape(-1, channels, *taps)
        given = [edit.constant(weight, like=m.matrix)]
        if m.bias is not None and (bias := _bias(graph, m)) is not None:
            given.append(edit.constant(bias, like=m.bias))
        op = Conv.of(len(taps), strides=strides, dilations=dilations)
        edit.replace(m.result, edit.add(op, m.windows.x, *given, like=m.product.node))


def _summands(graph: Graph, flat: Value) -> tuple[Value, Value | None]:
    """A product and what is added to it, None where nothing is."""
    if not isinstance(graph.producer(flat), Add):
        return flat, None
    left, right = graph.operands(flat.node)
    assert left is not None
    assert right is not None
    return (left, right) if isinstance(graph.producer(left), MatMul) else (right, left)


def _windows(graph: Graph, columns: Value) -> Columns | None:
    """The Reshape, perhaps of a Transpose, of Gathers along axes 2, 4, …, that makes columns."""
    taken = graph.operand(columns.node, 0)
    if not isinstance(graph.producer(columns), Reshape) or taken is None:
        return None
    if isinstance(graph.producer(taken), Transpose):
        taken = graph.operand(taken.node, 0)
        assert taken is not None
    rank = graph.type(taken).rank
    if rank is None or rank < 4 or rank % 2:
        return None
    x, places = taken, list[Value]()
    for axis in range(rank - 2, 0, -2):
        op, (data, indices) = graph.producer(x), (graph.operand(x.node, 0), graph.operand(x.node, 1))
        if not isinstance(op, Gather) or data is None or indices is None:
            return None
        if op.axis % (graph.type(data).rank or 1) != axis:
            return None
        x, places = data, [indices, *places]
    return Columns(x=x, places=tuple(places), taken=taken, columns=columns)


def _geometry(graph: Graph, m: Columns) -> list[tuple[int, int]] | None:
    """(dilation, stride) along each axis; None where the windows are not those of a convolution."""
    sizes = (graph.type(m.x).shape or ())[2:]
    found = [_steps(graph, value, size) for value, size in zip(m.places, sizes, strict=True)]
    known = [pair for pair in found if pair is not None]
    return known if len(known) == len(found) else None


def _steps(graph: Graph, places: Value, size: object) -> tuple[int, int] | None:
    constant = graph.constant(places)
    if constant is None or len(constant.shape) != 2 or not constant.size or not isinstance(size, int):
        return None
    at = constant.numpy().astype(np.int64)
    at = np.where(at < 0, at + size, at)
    taps, count = at.shape
    dilation = int(at[1, 0] - at[0, 0]) if taps > 1 else 1
    # A single window may be the only one there is room for at any step.
    stride = int(at[0, 1] - at[0, 0]) if count > 1 else size
    grid = dilation * np.arange(taps)[:, None] + stride * np.arange(count)
    whole = dilation > 0 < stride and (size - dilation * (taps - 1) - 1) // stride + 1 == count
    return (dilation, stride) if whole and np.array_equal(at, grid) else None


def _shape(graph: Graph, m: Columns) -> tuple[int, tuple[int, ...], tuple[int, ...]] | None:
    """How many channels, taps along each axis, and windows along each; None when not known."""
    _, *sizes = graph.type(m.taken).shape or (None,)
    known = [size for size in sizes if isinstance(size, int)]
    if not known or len(known) < len(sizes):
        return None
    return known[0], tuple(known[1::2]), tuple(known[2::2])


def _taps_first(graph: Graph, m: Columns) -> bool:
    """Whether the axes are (sample, channel, all taps, all windows) when they are joined."""
    joined, axes = graph.operand(m.columns.node, 0), 2 * len(m.places)
    order: Shape = tuple(range(axes + 2))
    if joined != m.taken and joined is not None:
        op = graph.producer(joined)
        assert isinstance(op, Transpose)
        order = op.order(axes + 2)
    return order == (0, 1, *range(2, axes + 2, 2), *range(3, axes + 2, 2))


def _bias(graph: Graph, m: ProductOfColumns) -> Array | None:
    """What is added, one number a row of the matrix; None when it is anything else."""
    constant, rows = graph.constant(m.bias), graph.type(m.matrix).dim(0)
    if constant is None or not isinstance(rows, int):
        return None
    shape = (1,) * (3 - len(constant.shape)) + constant.shape
    if len(shape) != 3 or shape[0] != 1 or shape[1] not in (1, rows) or shape[2] != 1:
        return None
    return np.broadcast_to(constant.numpy().reshape(-1), (rows,)).copy()
