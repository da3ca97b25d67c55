"""Put the rows of a constant matrix in the order in which the elements of a flattened image come.

    flatten(f(transpose(x; p))) · B  ->  flatten(f(x)) · B[p⁻¹]

with B[p⁻¹] the rows of B permuted as p permutes the elements of an image; f is a row of operations that do
not care about the order of the axes, with constants that follow it, or nothing. Exact: the same products,
summed in another order. Channels-last networks flatten their last feature map so, before the linear layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Flatten, Gemm, MatMul, Op, Reshape
from convgraph.passes.fusion.reordered_axes import Form, form_of, order_of, reordered
from convgraph.passes.rewrite import Rewrite, requirement

_LONGEST = 16  # operations between


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenedProduct:
    """x, x transposed, what comes between, that flattened, and the product with a matrix that reads it."""

    x: Value
    transposed: Value
    between: tuple[tuple[int, Form], ...]
    flat: Value
    matrix: Value
    product: int


@dataclass(frozen=True, kw_only=True)
class FoldTransposeIntoGemm(Rewrite[FlattenedProduct]):
    """Put the rows of a matrix in the order in which the elements of a flattened image come."""

    name: ClassVar[str] = "fold-transpose-into-gemm"
    roots: ClassVar[tuple[type[Op], ...]] = (Gemm, MatMul)
    makes: ClassVar[tuple[type[Op], ...]] = (Flatten,)

    def find(self, graph: Graph, node: int) -> FlattenedProduct | None:
        """A product of a Reshape or Flatten of a Transpose with a matrix."""
        op, (flat, matrix, *_) = graph.op(node), graph.operands(node)
        if flat is None or matrix is None or (isinstance(op, Gemm) and op.transA):
            return None
        image = graph.operand(flat.node, 0)
        if image is None or not isinstance(graph.producer(flat), (Reshape, Flatten)):
            return None
        nodes, transposed = _row_before(graph, image)
        x, order = graph.operand(transposed.node, 0), order_of(graph, transposed)
        forms = [None if order is None else form_of(graph, n, order) for n in nodes]
        between = tuple((n, form) for n, form in zip(nodes, forms, strict=True) if form is not None)
        if x is None or order is None or len(between) < len(nodes):
            return None
        return FlattenedProduct(
            x=x, transposed=transposed, between=between, flat=flat, matrix=matrix, product=node
        )

    @requirement
    def images_are_flattened(self, graph: Graph, m: FlattenedProduct) -> bool:
        """All axes of known sizes but the first, which stays the first, become one."""
        order, shape, flat = order_of(graph, m.transposed), graph.type(m.x).shape, graph.type(m.flat).shape
        if not order or shape is None or flat is None or order[0] != 0 or len(flat) != 2:
            return False
        sizes = [size for size in shape[1:] if isinstance(size, int)]
        return len(sizes) == len(shape) - 1 and math.prod(sizes) == flat[1]

    @requirement
    def the_matrix_is_constant(self, graph: Graph, m: FlattenedProduct) -> bool:
        """The matrix is a constant that no caller can override."""
        return graph.constant(m.matrix) is not None

    @requirement
    def nothing_else_reads_what_lies_between(self, graph: Graph, m: FlattenedProduct) -> bool:
        """The transposed and the flattened image, and all between, have no other reader, so that they go."""
        between = (Value(node, 0) for node, _ in m.between)
        return all(graph.sole_reader(value) is not None for value in (m.transposed, *between, m.flat))

    def apply(self, edit: Edit, m: FlattenedProduct) -> None:
        """Flatten x itself and multiply it with the permuted matrix."""
        graph, op = edit.graph, edit.graph.op(m.product)
        order, tensor = order_of(graph, m.transposed), graph.constant(m.matrix)
        assert order is not None
        assert tensor is not None
        places = _places(graph.type(m.x).shape or (), order)
        rows = 1 if isinstance(op, Gemm) and op.transB else 0
        matrix = edit.constant(np.take(tensor.numpy(), places, axis=rows), like=m.matrix)
        y, there = m.x, {m.transposed: m.x}
        for node, form in m.between:
            (y,) = reordered(edit, node, form, perm=order, there=there)
            there[Value(node, 0)] = y
        flat = edit.add(Flatten(), y, like=m.flat.node)
        rest = graph.operands(m.product)[2:]
        edit.replace(Value(m.product, 0), edit.add(op, flat, matrix, *rest, like=m.product))


def _row_before(graph: Graph, value: Value) -> tuple[list[int], Value]:
    """The operations in a row, of one shape and on one value each, that make a value; what they read."""
    nodes = list[int]()
    while len(nodes) < _LONGEST and order_of(graph, value) is None:
        read = [v for v in graph.operands(value.node) if v is not None and graph.constant(v) is None]
        alone = len(read) == len(graph.results(value.node)) == 1
        if not alone or graph.type(read[0]).shape != graph.type(value).shape:
            break
        nodes.append(value.node)
        value = read[0]
    return nodes[::-1], value


def _places(shape: Sequence[object], order: Sequence[int]) -> np.ndarray:
    """For each element of an image of x, its number among those of the transposed image."""
    sizes = [size for size in shape[1:] if isinstance(size, int)]
    numbers = np.arange(math.prod(sizes)).reshape([sizes[axis - 1] for axis in order[1:]])
    return numbers.transpose([order.index(axis) - 1 for axis in range(1, len(order))]).reshape(-1)
