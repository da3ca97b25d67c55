"""Take the mean of images by the operation that runtimes have a kernel for.

    reduce_mean(x; all spatial axes, kept)  ->  global_average_pool(x)
    reduce_mean(x; all spatial axes, dropped)  ->  flatten(global_average_pool(x))

The opposite of lower_global_average_pool_to_reduce_mean. In onnxruntime the pool runs on blocks of channels
as the convolution before it leaves them. Exact: the same mean; floating point differs by the order of sums.

Source: Lin et al., Network in Network (2013), 3.2, for the pool; torch.onnx writes its AdaptiveAvgPool so.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Flatten, GlobalAveragePool, Op, ReduceMean
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite

_RANKS = range(3, 6)  # of images that runtimes pool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanOfImage:
    """A mean, what it is of, and along which axes."""

    mean: int
    x: Value
    axes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class FuseMeanIntoGlobalAveragePool(TimedRewrite[MeanOfImage]):
    """Take the mean of images by the operation that runtimes have a kernel for."""

    name: ClassVar[str] = "fuse-mean-into-global-average-pool"
    roots: ClassVar[tuple[type[Op], ...]] = (ReduceMean,)
    makes: ClassVar[tuple[type[Op], ...]] = (Flatten, GlobalAveragePool)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> MeanOfImage | None:
        """A mean of floating-point numbers along axes that are known, of as many axes as images have."""
        op, x, axes = graph.op(node), graph.operand(node, 0), graph.operand(node, 1)
        assert isinstance(op, ReduceMean)
        if x is None or not self.can_be_judged or (axes is not None and graph.constant(axes) is None):
            return None
        kind = graph.type(x)
        reduced = op.reduced_axes(kind, axes and graph.type(axes))
        if reduced is None or kind.rank not in _RANKS or not kind.dtype.is_float:
            return None
        return MeanOfImage(mean=node, x=x, axes=tuple(sorted(reduced)))

    @requirement
    def it_is_along_all_spatial_axes(self, graph: Graph, m: MeanOfImage) -> bool:
        """The mean is along all axes but samples and channels."""
        return m.axes == tuple(range(2, graph.type(m.x).rank or 2))

    def replaces(self, graph: Graph, match: MeanOfImage) -> tuple[int, ...]:
        """The mean."""
        del graph
        return (match.mean,)

    def apply(self, edit: Edit, m: MeanOfImage) -> None:
        """Put a pool in its place."""
        op = edit.graph.op(m.mean)
        assert isinstance(op, ReduceMean)
        if op.keepdims:
            edit.replace(Value(m.mean, 0), edit.add(GlobalAveragePool(), m.x, like=m.mean))
            return
        edit.replace(
            Value(m.mean, 0), edit.add(Flatten(axis=1), edit.add(GlobalAveragePool(), m.x), like=m.mean)
        )
