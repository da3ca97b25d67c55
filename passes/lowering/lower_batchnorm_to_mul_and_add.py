"""Spell a batch normalisation in inference as a product and a sum.

    batchnorm(x; γ, β, μ, σ²)  ->  s·x + (β − s·μ)        s = γ / √(σ² + ε)

with one s and one sum for each channel. Exact in real arithmetic; what cannot be folded into a neighbour is
so spelled for devices that have pointwise operations only.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Mul, Op
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift
from convgraph.passes.rewrite import Measure, Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """A batch normalisation and its γ, β, μ and σ²."""

    norm: int
    op: BatchNormalization
    statistics: tuple[Value, ...]


def _norm_count(graph: Graph) -> int:
    return sum(isinstance(graph.op(node), BatchNormalization) for node in graph.nodes())


@dataclass(frozen=True, kw_only=True)
class LowerBatchnormToMulAndAdd(Rewrite[Normalisation]):
    """Spell a batch normalisation in inference as a product and a sum."""

    name: ClassVar[str] = "lower-batchnorm-to-mul-and-add"
    roots: ClassVar[tuple[type[Op], ...]] = (BatchNormalization,)
    lowers: ClassVar[tuple[type[Op], ...]] = (BatchNormalization,)
    measure: ClassVar[Measure] = staticmethod(_norm_count)

    def find(self, graph: Graph, node: int) -> Normalisation | None:
        """A batch normalisation of any number of axes that is known."""
        op = graph.op(node)
        if not isinstance(op, BatchNormalization) or graph.type(Value(node, 0)).rank is None:
            return None
        return Normalisation(norm=node, op=op, statistics=given(graph.operands(node)))

    @requirement
    def it_runs_in_inference(self, graph: Graph, m: Normalisation) -> bool:
        """The statistics are given, not the batch's own."""
        return not m.op.training_mode

    @requirement
    def the_statistics_are_constant(self, graph: Graph, m: Normalisation) -> bool:
        """Scale, bias, mean and variance are constants that no caller can override."""
        return are_constant(graph, m.statistics)

    def apply(self, edit: Edit, m: Normalisation) -> None:
        """Multiply, then add."""
        graph, result = edit.graph, Value(m.norm, 0)
        kind = graph.type(result)
        by_channel = (-1, *(1 for _ in range((kind.rank or 2) - 2)))
        scale, shift = (
            edit.constant(vector.astype(kind.dtype.numpy).reshape(by_channel), like=m.statistics[slot])
            for slot, vector in enumerate(scale_and_shift(graph, m.op, m.statistics))
        )
        product = edit.add(Mul(), graph.operand(m.norm, 0), scale)
        edit.replace(result, edit.add(Add(), product, shift, like=m.norm))
