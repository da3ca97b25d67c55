"""Let the matrix product transpose its operands by itself.

    gemm(transpose(a), b, c)  ->  gemm(a, b, c; transA)        matmul(a, transpose(b))  ->  gemm(a, b; transB)

Exact: the same products, summed in the same order.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Gemm, MatMul, Op, Transpose
from convgraph.ir.tensor import DataType
from convgraph.passes.fusion.reordered_axes import order_of
from convgraph.passes.rewrite import Rewrite, requirement

_OPTIONAL_BIAS = 11  # the opset from which on a Gemm does without c
_MULTIPLIED = (DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16)  # runtimes have a Gemm of hardly any other
_SWAPPED = (1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedOperands:
    """A product of matrices, the Gemm it is, and its operands as they are before being transposed."""

    node: int
    op: Gemm
    operands: tuple[Value, Value]
    transposed: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class AbsorbTransposeIntoGemm(Rewrite[TransposedOperands]):
    """Let the matrix product transpose its operands by itself."""

    name: ClassVar[str] = "absorb-transpose-into-gemm"
    roots: ClassVar[tuple[type[Op], ...]] = (Gemm, MatMul)
    after: ClassVar[tuple[str, ...]] = ("fuse-transposed-matmul-into-conv",)
    makes: ClassVar[tuple[type[Op], ...]] = (Gemm,)

    def find(self, graph: Graph, node: int) -> TransposedOperands | None:
        """A Gemm, or a MatMul that a Gemm can stand for, of a transposed matrix."""
        op, (a, b, *_) = graph.op(node), graph.operands(node)
        if a is None or b is None or not (isinstance(op, Gemm) or _may_be_gemm(graph, a)):
            return None
        gemm = op if isinstance(op, Gemm) else Gemm()
        before_a, before_b = (_before(graph, value) for value in (a, b))
        if before_a is None and before_b is None:
            return None
        gemm = gemm if before_a is None else replace(gemm, transA=1 - gemm.transA)
        gemm = gemm if before_b is None else replace(gemm, transB=1 - gemm.transB)
        gone = ((a, before_a), (b, before_b))
        return TransposedOperands(
            node=node,
            op=gemm,
            operands=(before_a or a, before_b or b),
            transposed=tuple(value for value, before in gone if before is not None),
        )

    @requirement
    def both_are_matrices(self, graph: Graph, m: TransposedOperands) -> bool:
        """Both operands have two axes."""
        return all(graph.type(value).rank == len(_SWAPPED) for value in m.operands)

    @requirement
    def a_transpose_goes(self, graph: Graph, m: TransposedOperands) -> bool:
        """Nothing but the product reads one of the transposed operands, so that its Transpose goes."""
        readers = ([use.node for use in graph.readers(value)] for value in m.transposed)
        free = [set(nodes) == {m.node} for nodes in readers]
        return any(one and not graph.is_output(v) for one, v in zip(free, m.transposed, strict=True))

    def apply(self, edit: Edit, m: TransposedOperands) -> None:
        """Read the operands as they were."""
        c = edit.graph.operand(m.node, 2)
        edit.replace(Value(m.node, 0), edit.add(m.op, *m.operands, c, like=m.node))


def _may_be_gemm(graph: Graph, a: Value) -> bool:
    return graph.type(a).dtype in _MULTIPLIED and graph.model.opset >= _OPTIONAL_BIAS


def _before(graph: Graph, value: Value) -> Value | None:
    """What a value is the transpose of, where it is made so."""
    swapped = isinstance(graph.producer(value), Transpose) and order_of(graph, value) == _SWAPPED
    return graph.operand(value.node, 0) if swapped else None
