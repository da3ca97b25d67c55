"""Matrix products."""

from dataclasses import dataclass

from convgraph.ir.ops.base import Op, require
from convgraph.ir.tensor import Dim, Shape, TensorType, broadcast


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemm(Op):
    """alpha * a' @ b' + beta * c, where a' (M, K) is a or its transpose and b' (K, N) likewise.

    c broadcasts to (M, N).
    """

    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0  # noqa: N815 - ONNX's name
    transB: int = 0  # noqa: N815 - ONNX's name

    def __post_init__(self) -> None:
        """Refuse a flag that is neither 0 nor 1."""
        flags = (self.transA, self.transB)
        require(all(f in (0, 1) for f in flags), "Gemm", found=f"transA, transB={flags}", expected="0 or 1")

    def infer(self, a: TensorType, b: TensorType, c: TensorType | None = None) -> TensorType:
        """The type of the product, (M, N)."""
        for role, operand in (("a", a), ("b", b)):
            require(operand.rank in (None, 2), "Gemm", found=f"{role} of type {operand}", expected="rank 2")
        rows, inner = (a.dim(1), a.dim(0)) if self.transA else (a.dim(0), a.dim(1))
        other, columns = (b.dim(1), b.dim(0)) if self.transB else (b.dim(0), b.dim(1))
        _check_inner("Gemm", inner, other)
        if c is not None and c.shape is not None:
            fits = TensorType(c.dtype, shape=broadcast((rows, columns), c.shape)).admits(
                TensorType(c.dtype, shape=(rows, columns))
            )
            require(
                fits, "Gemm", found=f"c of type {c}", expected=f"one that broadcasts to {rows}, {columns}"
            )
        return TensorType(a.dtype, shape=(rows, columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class MatMul(Op):
    """a @ b as in numpy: the last two axes are multiplied, the others broadcast; a vector loses its axis."""

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The type of the product."""
        if a.shape is None or b.shape is None:
            return TensorType(a.dtype)
        scalar = not a.shape or not b.shape
        require(not scalar, "MatMul", found=f"{a} and {b}", expected="at least one axis each")
        _check_inner("MatMul", a.shape[-1], b.shape[-2] if len(b.shape) > 1 else b.shape[-1])
        batch: Shape = broadcast(a.shape[:-2], b.shape[:-2])
        ends: list[Dim] = []
        if len(a.shape) > 1:
            ends.append(a.shape[-2])
        if len(b.shape) > 1:
            ends.append(b.shape[-1])
        return TensorType(a.dtype, shape=(*(batch or ()), *ends))


def _check_inner(op: str, left: Dim, right: Dim) -> None:
    differ = isinstance(left, int) and isinstance(right, int) and left != right
    require(not differ, op, found=f"{left} columns times {right} rows", expected="as many of each")
