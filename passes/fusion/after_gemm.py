"""What the rewrites that fold an operation into the matrix product before it have in common."""

from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Gemm, MatMul, Op
from convgraph.ir.tensor import Array, Tensor
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A matrix product α·A·B + β·C as a Gemm; ``c`` may be missing, as in a MatMul it is."""

    value: Value
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
    """The Gemm or MatMul that makes a value, if one does."""
    op = None if value is None else graph.producer(value)
    if value is None or not isinstance(op, (Gemm, MatMul)):
        return None
    a, b, c = (graph.operand(value.node, slot) for slot in range(3))
    assert a is not None
    assert b is not None
    return Product(value=value, op=op if isinstance(op, Gemm) else Gemm(), a=a, b=b, c=c)


@dataclass(frozen=True, kw_only=True)
class FoldIntoProduct(Rewrite[M]):
    """A rewrite to ``scale * (A·B + C) + shift``, with one number a column each."""

    name: ClassVar[str]

    @requirement
    def both_operands_are_matrices(self, graph: Graph, m: M) -> bool:
        """The product is of two matrices, so that its columns are the channels."""
        return graph.type(m.product.a).rank == 2 and graph.type(m.product.b).rank == 2

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
        return graph.sole_reader(m.product.value) is not None

    def affine(self, graph: Graph, m: M) -> tuple[Vector, Vector]:
        """Scale and shift, float64, one number a column each."""
        raise NotImplementedError

    def apply(self, edit: Edit, m: M) -> None:
        """Put a Gemm with the folded matrix and bias in the place of both operations."""
        b, c = m.product.b, m.product.c
        matrix, bias = self._folded(edit.graph, m)
        operands = (m.product.a, edit.constant(matrix, like=b), edit.constant(bias, like=c or b))
        folded = edit.add(replace(m.product.op, beta=1.0), *operands, like=m.product.value.node)
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
    def the_constant_is_per_column_or_scalar(self, graph: Graph, m: CombinedProduct) -> bool:
        """The constant has one element, or one a column of the product, along its last axis."""
        return self._vector(graph, m) is not None

    def vector(self, graph: Graph, m: CombinedProduct) -> Vector:
        """The constant as one float64 number a column."""
        vector = self._vector(graph, m)
        assert vector is not None
        return vector

    def _vector(self, graph: Graph, m: CombinedProduct) -> Vector | None:
        columns = graph.type(m.product.b).dim(0 if m.product.op.transB else -1)
        return channel_vector(m.constant, rank=2, channels=columns) if isinstance(columns, int) else None
