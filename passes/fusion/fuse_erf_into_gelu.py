"""Fuse a value gated by the error function of itself into one Gelu.

    x · ½ · (1 + erf(x / √2))  ->  gelu(x)
    x · ½ · (1 + erf(x · √½))  ->  (x · ½) · (1 + erf(x / √2))        before opset 20

in any order and association of its sums and products: what counts is that multiplying out gives x/2 +
x·erf(…)/2. Exact in real arithmetic; floating point differs by reassociation only. Opsets before 20 have no
Gelu, but onnxruntime fuses the spelling on the right, and not the others: they took 1.6 times as long.
Source: Hendrycks and Gimpel, Gaussian Error Linear Units (2016).
"""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Div, Erf, Gelu, Mul, Op
from convgraph.passes.fusion.made_only_for import made_only_for
from convgraph.passes.fusion.polynomial import Polynomial
from convgraph.passes.fusion.spelled_gelu import FuseGelu, SpelledGelu, spelled_gelu
from convgraph.passes.rewrite import Measure, op_count, requirement

_SINCE = 20
_STEPS = 5  # of the spelling that runtimes fuse


def _recognised(graph: Graph, erf: int) -> bool:
    """Whether an Erf is of a quotient, and plus one number is a factor of what is no number."""
    inner, use = graph.operand(erf, 0), graph.sole_reader(Value(erf, 0))
    if inner is None or not isinstance(graph.producer(inner), Div) or use is None:
        return False
    gate = graph.sole_reader(Value(use.node, 0)) if isinstance(graph.op(use.node), Add) else None
    if gate is None or not isinstance(graph.op(gate.node), Mul):
        return False
    return all(graph.constant(factor) is None for factor in graph.operands(gate.node))


def operations_and_spellings(graph: Graph) -> tuple[int, int]:
    """Measure: how many operations there are, and how many Erfs that no runtime takes for a Gelu's."""
    erfs = [node for node in graph.compute_nodes() if isinstance(graph.op(node), Erf)]
    return op_count(graph), sum(not _recognised(graph, erf) for erf in erfs)


@dataclass(frozen=True, kw_only=True)
class FuseErfIntoGelu(FuseGelu):
    """Fuse a value gated by the error function of itself into one Gelu."""

    name: ClassVar[str] = "fuse-erf-into-gelu"
    roots: ClassVar[tuple[type[Op], ...]] = (Erf,)
    makes: ClassVar[tuple[type[Op], ...]] = (Gelu,)
    measure: ClassVar[Measure] = staticmethod(operations_and_spellings)
    inside: ClassVar[Polynomial] = {(1, 0): sqrt(0.5)}

    def find(self, graph: Graph, node: int) -> SpelledGelu | None:
        """A value times a number and one plus the error function of a multiple of it."""
        if graph.model.opset < _SINCE and _recognised(graph, node):
            return None
        return spelled_gelu(graph, node, like=self.inside)

    @requirement
    def nothing_else_reads_the_steps(self, graph: Graph, m: SpelledGelu) -> bool:
        """Before opset 20, whose Gelu replaces them all, what is spelled anew is there for nothing else."""
        gone = made_only_for(graph, m.result, of=m.x)
        return graph.model.opset >= _SINCE or len(gone) >= _STEPS

    def apply(self, edit: Edit, m: SpelledGelu) -> None:
        """Put a Gelu in the place of all, or the spelling that runtimes fuse."""
        if edit.graph.model.opset >= _SINCE:
            edit.replace(m.result, edit.add(Gelu(), m.x, like=m.result.node))
            return
        kind = edit.graph.type(m.x).dtype.numpy
        numbers = (sqrt(2), 1.0, 0.5)
        root, one, half = (edit.constant(np.array(n, kind), name="number") for n in numbers)
        erf = edit.add(Erf(), edit.add(Div(), m.x, root), like=m.curve.node)
        halved = edit.add(Mul(), m.x, half)
        edit.replace(m.result, edit.add(Mul(), halved, edit.add(Add(), erf, one), like=m.result.node))
