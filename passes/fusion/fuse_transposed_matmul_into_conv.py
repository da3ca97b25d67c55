"""Write matrix products over the channels, between two transpositions, as the convolutions they are.

    transpose(matmul(transpose(x, channels last), A), channels first)  ->  conv1×1(x, Aᵀ)
    transpose(gemm((transpose(x) + c) · A, B, b))  ->  conv1×1(conv1×1(x + c, Aᵀ), Bᵀ, b)

Any number of products (MatMul or Gemm, with the pixels as rows or, transposed, as columns) and of sums with
constants or multiples may stand in a row, and the pixels may be one axis meanwhile, N·H·W × C. Exact: the
same products, summed in the same order. Channels-last linear layers come so from exporters; invertible 1×1
convolutions, kept as triangular factors, and pointwise MLPs are often written this way.
"""

from dataclasses import dataclass
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Gemm, MatMul, Op, Reshape, Transpose
from convgraph.passes.fusion.channels_last import CONVOLVED, carried, nodes_between, placed, sides, steps
from convgraph.passes.rewrite import Rewrite, requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PointwiseProducts:
    """x, its channels-last form, the nodes that follow in a row, and the result with channels first again."""

    x: Value
    last: Value
    nodes: tuple[int, ...]
    result: Value


@dataclass(frozen=True, kw_only=True)
class FuseTransposedMatmulIntoConv(Rewrite[PointwiseProducts]):
    """Write matrix products over the channels, between two transpositions, as pointwise convolutions."""

    name: ClassVar[str] = "fuse-transposed-matmul-into-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Transpose,)

    def find(self, graph: Graph, node: int) -> PointwiseProducts | None:
        """A Transpose of a row of operations, a product among them, that starts at a Transpose."""
        nodes = tuple(nodes_between(graph, graph.operand(node, 0)))[::-1]
        if not any(isinstance(graph.op(n), (MatMul, Gemm)) for n in nodes):
            return None
        last = carried(graph, nodes[0])
        x = None if last is None else graph.operand(last.node, 0)
        if last is None or x is None or graph.type(x).dtype not in CONVOLVED:
            return None
        return PointwiseProducts(x=x, last=last, nodes=nodes, result=Value(node, 0))

    @requirement
    def the_channels_go_last_and_come_back(self, graph: Graph, m: PointwiseProducts) -> bool:
        """The first transposition moves axis 1 of three or more to the end, the second moves it back."""
        rank = graph.type(m.x).rank
        if rank is None or rank < 3:
            return False
        orders = (_order(graph, m.last), _order(graph, m.result))
        return orders == ((0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1)))

    @requirement
    def the_pixels_stay_in_order(self, graph: Graph, m: PointwiseProducts) -> bool:
        """What comes between keeps the channels an axis of their own, and leaves the pixels as they were."""
        at_end = sides(graph, m.nodes)
        if at_end is None or not at_end[-1]:
            return False
        if not any(isinstance(graph.op(node), Reshape) for node in m.nodes):
            return True
        before, after = graph.type(m.last).shape, graph.type(Value(m.nodes[-1], 0)).shape
        if before is None or after is None or len(before) != len(after):
            return False
        # As many pixels come out as went in: where all sizes but one are the same, that one is.
        doubtful = [{a, b} for a, b in zip(before[:-1], after[:-1], strict=True) if a is None or a != b]
        return not doubtful or (len(doubtful) == 1 and not all(isinstance(d, int) for d in doubtful[0]))

    @requirement
    def the_other_operands_are_constant(self, graph: Graph, m: PointwiseProducts) -> bool:
        """The products are with constant matrices, the rest is with one constant number, or one a channel."""
        at_end = sides(graph, m.nodes)
        return at_end is not None and steps(graph, m.nodes, at_end) is not None

    @requirement
    def nothing_else_reads_what_lies_between(self, graph: Graph, m: PointwiseProducts) -> bool:
        """The values after the first transposition have no other reader, so that they go."""
        return all(graph.sole_reader(Value(node, 0)) is not None for node in m.nodes)

    def apply(self, edit: Edit, m: PointwiseProducts) -> None:
        """Convolve with the transposed matrices; constants go where the channels are."""
        graph, rank = edit.graph, edit.graph.type(m.x).rank
        at_end = sides(graph, m.nodes)
        assert at_end is not None
        found = steps(graph, m.nodes, at_end)
        assert found is not None
        assert rank is not None
        y = m.x
        for step in found:
            y = placed(edit, y, step, rank=rank)
        edit.replace(m.result, y)


def _order(graph: Graph, value: Value) -> tuple[int, ...] | None:
    op = graph.producer(value)
    return op.perm if isinstance(op, Transpose) else None
