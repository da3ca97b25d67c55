"""What the rewrites that fold an operation into the matrix product before it have in common."""

from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Gemm, MatMul, Op
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A matrix product α·A·B + β·C as a Gemm; ``c`` may be missing.

    A MatMul of more than two axes has no Gemm to become: its ``c`` is what an Add after it adds. ``product``
    is then the MatMul's result, ``value`` the sum.
    """

    value: Value
    product: Value
    op: Gemm
    a: Value
    b: Value
    c: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterProduct:
    """A matrix product and the result of the operation that reads it."""

    product: Product
    result: Value


M = TypeVar("M", bound=AfterProduct)


def product_before(graph: Graph, value: Value | None) -> Product | None:
    """The Gemm, MatMul, or MatMul and Add that make a value, if they do."""
    if value is not None and isinstance(graph.producer(value), Add):
        return _biased(graph, value)
    return _unbiased(graph, value)


def _unbiased(graph: Graph, value: Value | None) -> Product | None:
    op = None if value is None else graph.producer(value)
    if value is None or not isinstance(op, (Gemm, MatMul)):
        return None
    a, b, c = (graph.operand(value.node, slot) for slot in range(3))
    assert a is not None
    assert b is not None
    form = op if isinstance(op, Gemm) else Gemm()
    return Product(value=value, product=value, op=form, a=a, b=b, c=c)


def _biased(graph: Graph, total: Value) -> Product | None:
    """A MatMul of more than two axes and the bias that is added to it."""
    operands = graph.operands(total.node)
    for value, bias in zip(operands, reversed(operands), strict=True):
        product = _unbiased(graph, value)
        if product is None or are_matrices(graph, product):
            continue
        constant = graph.constant(bias)
        if constant is not None and column_vector(graph, product, constant) is not None:
            return replace(product, value=total, c=bias)
    return None


def are_matrices(graph: Graph, product: Product) -> bool:
    """Whether both operands have two axes, so that a Gemm can compute the product."""
    return graph.type(product.a).rank == 2 and graph.type(product.b).rank == 2


def column_vector(graph: Graph, product: Product, constant: Tensor) -> Vector | None:
    """The constant as one float64 number a column of the product; None when it is anything else."""
    columns = graph.type(product.b).dim(0 if product.op.transB else -1)
    rank = graph.type(product.value).rank
    if rank is None or not isinstance(columns, int):
        return None
    return channel_vector(constant, rank=rank, channels=columns, axis=-1)


@dataclass(frozen=True, kw_only=True)
class FoldIntoProduct(Rewrite[M]):
    """A rewrite to ``scale * (A·B + C) + shift``, with one number a column each."""

    name: ClassVar[str]
    makes: ClassVar[tuple[type[Op], ...]] = (Gemm,)

    @requirement
    def the_weights_are_constant(self, graph: Graph, m: M) -> bool:
        """The second matrix and the bias are constants that no caller can override."""
        operands = (m.product.b, m.product.c)
        return all(graph.constant(value) is not None for value in operands if value is not None)

    @requirement
    def the_folded_weights_are_finite(self, graph: Graph, m: M) -> bool:
        """The new matrix and bias stay within the range of their element type."""
        return all(is_finite(array) for array in self._folded(graph, m))

    @requirement
    def nothing_else_reads_the_product(self, graph: Graph, m: M) -> bool:
        """Only this operation reads the product, and the graph does not return it."""
        return all(graph.sole_reader(value) is not None for value in (m.product.product, m.product.value))

    def affine(self, graph: Graph, m: M) -> tuple[Vector, Vector]:
        """Scale and shift, float64, one number a column each."""
        raise NotImplementedError

    def apply(self, edit: Edit, m: M) -> None:
        """Put a product with the folded matrix and bias in the place of both operations."""
        product = m.product
        b, c = product.b, product.c
        new_matrix, new_bias = self._folded(edit.graph, m)
        matrix = edit.constant(new_matrix, like=b)
        if are_matrices(edit.graph, product):
            op, bias = replace(product.op, beta=1.0), edit.constant(new_bias, like=c or b)
            folded = edit.add(op, product.a, matrix, bias, like=product.value.node)
        else:
            folded = edit.add(MatMul(), product.a, matrix, like=product.product.node)
        if c is not None and product.value != product.product:
            folded = edit.add(Add(), folded, edit.constant(new_bias, like=c), like=product.value.node)
        edit.replace(m.result, folded)

    def _folded(self, graph: Graph, m: M) -> tuple[Array, Array]:
        """The new matrix and the new bias; zeros where there is none, as a Gemm before opset 11 needs one."""
        op, matrix, old = m.product.op, graph.constant(m.product.b), graph.constant(m.product.c)
        assert matrix is not None
        kind, wide = matrix.dtype.numpy, matrix.numpy().astype(np.float64)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # refused as not finite
            scale, shift = self.affine(graph, m)
            columns = wide * (scale[:, None] if op.transB else scale)
            bias = 0.0 if old is None else op.beta * old.numpy().astype(np.float64)
            return columns.astype(kind), (scale * bias + shift).astype(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedProduct(AfterProduct):
    """A product, the operation that combines it with a constant, and the constant's side."""

    op: Op
    constant: Tensor
    constant_first: bool


@dataclass(frozen=True, kw_only=True)
class CombineProduct(FoldIntoProduct[CombinedProduct]):
    """Fold ``product ∘ c`` or ``c ∘ product`` into the product, ∘ being one of ``roots``."""

    name: ClassVar[str]

    def find(self, graph: Graph, node: int) -> CombinedProduct | None:
        """A binary operation of a matrix product and a constant, in either order."""
        for value, constant, first in beside_constants(graph, node):
            product = product_before(graph, value)
            if product is not None:
                return CombinedProduct(
                    product=product,
                    result=Value(node, 0),
                    op=graph.op(node),
                    constant=constant,
                    constant_first=first,
                )
        return None

    @requirement
    def the_numbers_are_real(self, graph: Graph, m: CombinedProduct) -> bool:
        """The elements are floating-point numbers: few runtimes have a Gemm of whole ones."""
        return graph.type(m.product.b).dtype.is_float

    @requirement
    def the_constant_is_per_column_or_scalar(self, graph: Graph, m: CombinedProduct) -> bool:
        """The constant has one element, or one a column of the product, along its last axis."""
        return column_vector(graph, m.product, m.constant) is not None

    def vector(self, graph: Graph, m: CombinedProduct) -> Vector:
        """The constant as one float64 number a column."""
        vector = column_vector(graph, m.product, m.constant)
        assert vector is not None
        return vector
