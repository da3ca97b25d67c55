"""Absorb a Pad with zeros into the AveragePool that reads it.

    avgpool(pad(x; a, 0); pads p)  ->  avgpool(x; pads p + a, padding counted)      a ≥ 0, spatial only

What the Pad added is data to the pool: it counts in the mean. With padding counted the pool's divisor says
the same. A pool with pads of its own that it does not count would need two kinds of padding. Exact.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.graph import Graph
from convgraph.ir.ops import AveragePool, Op
from convgraph.passes.fusion.padded_window import AbsorbPad, IntoPool, PaddedWindow, padded_window
from convgraph.passes.rewrite import requirement


@dataclass(frozen=True, kw_only=True)
class AbsorbPadIntoAveragePool(AbsorbPad, IntoPool):
    """Absorb a Pad with zeros into the AveragePool that reads it."""

    name: ClassVar[str] = "absorb-pad-into-average-pool"
    roots: ClassVar[tuple[type[Op], ...]] = (AveragePool,)

    def find(self, graph: Graph, node: int) -> PaddedWindow | None:
        """An AveragePool of a Pad's result."""
        return padded_window(graph, node)

    @requirement
    def it_pads_with_zero(self, graph: Graph, m: PaddedWindow) -> bool:
        """The Pad adds zeros, as the pool does."""
        return m.fill == 0

    @requirement
    def the_pool_counts_its_own_padding(self, graph: Graph, m: PaddedWindow) -> bool:
        """The pool has no pads of its own, or counts them in the mean as it counts the Pad's."""
        return not any(m.op.pads) or (isinstance(m.op, AveragePool) and m.op.count_include_pad == 1)

    def absorbed(self, m: PaddedWindow) -> Op:
        """The pool with the pads of both, all of them counted."""
        assert isinstance(m.op, AveragePool)
        return replace(m.op, pads=m.pads, count_include_pad=1)
