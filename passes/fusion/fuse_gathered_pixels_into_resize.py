"""Enlarge by one Resize, where a model gathers every pixel several times.

    transpose(gathernd(transpose(x, p), (i // r, j // s) of all i, j), p⁻¹)  ->  resize(x; nearest; r, s)

for any number of axes, of known sizes; i // r runs through all of an axis. Exact: elements move. PyTorch's
exporter spells the mode nearest-exact so, whose pixels are those of nearest where the scales are whole.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.encoded import decode
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Opaque, Resize, Transpose
from convgraph.ir.tensor import DataType
from convgraph.passes.rewrite import Rewrite, requirement

_NEAREST = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredPixels:
    """x, the order in which its axes are put, what is then gathered by which indices, and the result."""

    x: Value
    order: tuple[int, ...]
    indices: Value
    gathered: Value
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseGatheredPixelsIntoResize(Rewrite[GatheredPixels]):
    """Enlarge by one Resize, where a model gathers every pixel several times."""

    name: ClassVar[str] = "fuse-gathered-pixels-into-resize"
    roots: ClassVar[tuple[type[Op], ...]] = (Transpose,)
    makes: ClassVar[tuple[type[Op], ...]] = (Resize,)

    def find(self, graph: Graph, node: int) -> GatheredPixels | None:
        """A Transpose of a GatherND of a Transpose, of floating-point numbers."""
        gathered = graph.operand(node, 0)
        if gathered is None or not _gathers(graph.producer(gathered)):
            return None
        moved, indices = graph.operands(gathered.node)
        before = None if moved is None else graph.producer(moved)
        if moved is None or indices is None or not isinstance(before, Transpose):
            return None
        x = graph.operand(moved.node, 0)
        # Runtimes resize few other types of elements.
        if x is None or before.perm is None or graph.type(x).dtype is not DataType.FLOAT:
            return None
        return GatheredPixels(
            x=x, order=before.perm, indices=indices, gathered=gathered, result=Value(node, 0)
        )

    @requirement
    def the_axes_come_back(self, graph: Graph, m: GatheredPixels) -> bool:
        """The second transposition undoes the first."""
        back = graph.producer(m.result)
        assert isinstance(back, Transpose)
        return back.perm == tuple(np.argsort(m.order).tolist())

    @requirement
    def each_pixel_is_repeated_as_often(self, graph: Graph, m: GatheredPixels) -> bool:
        """The indices are constant, and go through all of each axis in order, repeating each number alike."""
        return _factors(graph, m) is not None

    @requirement
    def nothing_else_reads_what_is_gathered(self, graph: Graph, m: GatheredPixels) -> bool:
        """Only the second transposition reads it, so that both go."""
        return graph.sole_reader(m.gathered) is not None

    def apply(self, edit: Edit, m: GatheredPixels) -> None:
        """Resize x itself."""
        factors = _factors(edit.graph, m)
        assert factors is not None
        numbers = np.ones(len(m.order), np.float32)
        numbers[[*m.order[: len(factors)]]] = factors
        scales = edit.constant(numbers, name="scales")
        edit.replace(m.result, edit.add(_NEAREST, m.x, None, scales, like=m.gathered.node))


def _gathers(op: Op) -> bool:
    if not isinstance(op, Opaque) or (op.domain, op.op_type) != ("", "GatherND"):
        return False
    batches = op.encoded.get("batch_dims")
    return batches is None or decode("batch_dims", batches) == 0


def _factors(graph: Graph, m: GatheredPixels) -> tuple[int, ...] | None:
    """How often each number is repeated along each axis; None when the indices say something else."""
    tensor, kind = graph.constant(m.indices), graph.type(m.x)
    count = 0 if tensor is None or not tensor.shape else tensor.shape[-1]
    sizes = [kind.dim(axis) for axis in m.order[:count]]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    if tensor is None or count < 2 or len(known) < count or len(tensor.shape) != count + 1:
        return None
    factors = tuple(after // before for after, before in zip(tensor.shape[:-1], known, strict=True))
    ranges = [np.arange(size).repeat(factor) for size, factor in zip(known, factors, strict=True)]
    grid = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
    return factors if np.array_equal(grid, tensor.numpy()) else None
