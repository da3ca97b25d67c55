"""Axis numbers as ONNX writes them: negative ones count from the end."""

from collections.abc import Sequence

from convgraph.ir.ops.base import require
from convgraph.ir.tensor import TensorType

_MOST_AXES = 1 << 12  # of any tensor worth its name: a list of them is written out


def length(vector: TensorType) -> int | None:
    """How many sizes or axes a vector lists; None when unknown, or more than any tensor has."""
    return vector.size if vector.size is not None and vector.size <= _MOST_AXES else None


def normal_axis(op: str, axis: int, *, rank: int) -> int:
    """``axis`` counted from the front. Raises InvalidModel for an axis that is not there."""
    require(-rank <= axis < rank, op, found=f"axis {axis} of {rank}", expected=f"{-rank} to {rank - 1}")
    return axis % rank if rank else 0


def normal_axes(op: str, axes: Sequence[int], *, rank: int) -> tuple[int, ...]:
    """Every axis counted from the front. Raises InvalidModel for one that is not there or is there twice."""
    found = tuple(normal_axis(op, axis, rank=rank) for axis in axes)
    require(len(set(found)) == len(found), op, found=f"axes {tuple(axes)}", expected="each axis once")
    return found


def is_given(operand: TensorType | None) -> bool:
    """Whether an optional vector operand says anything: it is there and not known to be empty."""
    return operand is not None and operand.size != 0
