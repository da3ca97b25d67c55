"""What the rewrites that split a convolution by a low rank of its weight have in common.

Seen as one matrix or as a stack of them, the weight is replaced by the nearest one of a rank R, the truncated
singular value decomposition. The two convolutions that then take its place have multiplications in proportion
to R.

Source: Eckart and Young, The Approximation of One Matrix by Another of Lower Rank (1936).
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from convgraph.analysis.target import GenericTarget
from convgraph.ir.graph import Graph
from convgraph.ir.ops import Conv, Op
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import (
    LooksIntoWeight,
    WeightedConv,
    constant_weight,
    convolution,
    weight_at,
)
from convgraph.passes.algebra.factors import Matrix, errors_by_rank, nearest_of_rank
from convgraph.passes.approximate.approximation import Approximation, Setting
from convgraph.passes.rewrite import PricedRewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRankConv(WeightedConv):
    """A convolution, the rank to give its weight, and the number of the way to see it as matrices."""

    rank: int
    way: int


@dataclass(frozen=True, kw_only=True)
class SplitsByLowRank(Approximation[LowRankConv], LooksIntoWeight[LowRankConv], PricedRewrite[LowRankConv]):
    """A rewrite that gives a convolution's weight a lower rank and splits the convolution in two."""

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)

    @abstractmethod
    def ways(self, weight: Array) -> Iterable[int]:
        """The numbers of the ways to see a weight as matrices."""

    @abstractmethod
    def matrices(self, weight: Array, *, group: int, way: int) -> Matrix:
        """The weight as float64 matrices (…, rows, columns)."""

    @abstractmethod
    def restored(self, matrices: Matrix, *, like: Array, group: int, way: int) -> Array:
        """The weight that these are the matrices of."""

    def closest(self, graph: Graph, node: int) -> LowRankConv | None:
        """The lowest rank within the tolerance, in the way that takes the fewest numbers."""
        fewest: dict[int, LowRankConv] = {}
        for way, matrices, errors in self._ranked(graph, node):
            rank = 1 + int(np.argmax(errors <= self.tolerance))
            if rank < len(errors):
                *_, rows, columns = matrices.shape
                size = rank * (rows + columns) * (matrices.size // (rows * columns))
                fewest.setdefault(size, LowRankConv(conv=node, rank=rank, way=way))
        return fewest[min(fewest)] if fewest else None

    def settings(self, graph: Graph, node: int) -> Sequence[Setting[LowRankConv]]:
        """Every rank that saves multiplications."""
        if graph.constant(graph.operand(node, 1)) is None:
            return ()
        return tuple(
            Setting(
                match=LowRankConv(conv=node, rank=rank, way=way),
                error=float(error),
                macs_saved=before - rank * after,
            )
            for way, _, errors in self._ranked(graph, node)
            for before, after in [self._macs(graph, LowRankConv(conv=node, rank=1, way=way))]
            for rank, error in enumerate(errors[:-1], start=1)
            if before > rank * after
        )

    def nearest(self, graph: Graph, match: LowRankConv) -> Array:
        """The weight whose matrices are the nearest of the rank."""
        array, group = constant_weight(graph, match.conv)[1], convolution(graph, match.conv).group
        near = nearest_of_rank(self.matrices(array, group=group, way=match.way), rank=match.rank)
        whole = self.restored(near, like=array, group=group, way=match.way)
        return np.asarray(whole.astype(array.dtype))

    def replaces(self, graph: Graph, match: LowRankConv) -> Iterable[int]:
        """The convolution."""
        return (match.conv,)

    def _macs(self, graph: Graph, match: LowRankConv) -> tuple[int, int]:
        """The multiplications of the convolution, and of what would stand in its place."""
        counted = replace(self, target=GenericTarget()).offer(graph, match)
        return int(counted.before[0]), int(counted.after[0])

    def _ranked(self, graph: Graph, node: int) -> Iterator[tuple[int, Matrix, NDArray[np.float64]]]:
        """Each way to see the weight, its matrices, and the errors of the ranks from 1 to the full one."""
        array = weight_at(graph, node)
        if array is None or not array.size or not np.isfinite(array.astype(np.float64)).all():
            return
        for way in self.ways(array):
            matrices = self.matrices(array, group=convolution(graph, node).group, way=way)
            yield way, matrices, errors_by_rank(matrices)
