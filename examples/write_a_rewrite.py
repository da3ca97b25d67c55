"""Write a rewrite of your own, try it, and run it before the default pipeline.

neg(neg(x)) -> x
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import convgraph as cg
from convgraph.ir.ops import Conv, Neg, Op, Relu


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleNegation:
    """``result`` is ``source`` negated twice; ``between`` is negated once."""

    source: cg.Value
    between: cg.Value
    result: cg.Value


@dataclass(frozen=True, kw_only=True)
class RemoveDoubleNegation(cg.Rewrite[DoubleNegation]):
    """Remove two negations in a row."""

    name: ClassVar[str] = "remove-double-negation"
    roots: ClassVar[tuple[type[Op], ...]] = (Neg,)

    def find(self, graph: cg.Graph, node: int) -> DoubleNegation | None:
        """A negation of a negation: the shape of the subgraph, nothing else."""
        between = graph.operand(node, 0)
        if between is None or not isinstance(graph.producer(between), Neg):
            return None
        source = graph.operand(between.node, 0)
        return source and DoubleNegation(source=source, between=between, result=cg.Value(node, 0))

    @cg.requirement
    def nothing_else_reads_the_negative(self, graph: cg.Graph, m: DoubleNegation) -> bool:
        """The value between the two negations has no other reader, so both of them go."""
        return graph.sole_reader(m.between) is not None

    def apply(self, edit: cg.Edit, m: DoubleNegation) -> None:
        """Let the readers read the source."""
        edit.replace(m.result, m.source)


def network() -> cg.Graph:
    """A convolution, two negations, a Relu."""
    b = cg.GraphBuilder("example", opset=17)
    x = b.input("x", shape=("N", 3, 32, 48))
    weight = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    y = b.add(Conv.of(2, pads=1), x, weight)
    b.output(b.add(Relu(), b.add(Neg(), b.add(Neg(), y))), name="y")
    return b.build()


def main() -> None:
    """Optimize the network and say what was done."""
    result = cg.optimize(network(), passes=[RemoveDoubleNegation(), *cg.passes.DEFAULT])
    for application in result.trace.applications:
        print(f"{application.index}. {application.rewrite} at {application.at}")
    assert result.verification is not None
    result.verification.raise_if_different()
    print("equal in onnxruntime:", result.verification.equal)


if __name__ == "__main__":
    main()
