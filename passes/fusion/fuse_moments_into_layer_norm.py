"""Fuse what brings the last axes of a value to mean 0 and variance 1 into one LayerNormalization.

    d / √(mean(d²) + ε)  =  d · (1 / √(mean(d²) + ε))  ->  layernorm(x; 1, ε)        d = x − mean(x)
    the same along the channels  ->  transpose(layernorm(transpose(x); 1, ε))

A scale and a shift that follow are folded into it by another rewrite. Exact in real arithmetic; floating
point differs by the rounding of the sums. onnxruntime knows the chain only where it is spelled with Pow and
Div: spelled with Mul it took 2.4 times as long; along the channels, from 16 on, 1.6 to 6 times as long as
with both Transposes, and half as long for 3. Opsets before 17 have no such operator, and axes of unknown
sizes no such scale. Source: Ba et al., Layer Normalization (2016).
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph
from convgraph.ir.ops import LayerNormalization, Op, Transpose
from convgraph.passes.fusion.made_only_for import made_only_for
from convgraph.passes.fusion.moments import (
    FuseNormalisation,
    Normalised,
    are_instances,
    centred,
    normalised,
    ones,
    scale_follows,
    trailing_sizes,
)
from convgraph.passes.rewrite import requirement

_SINCE = 17
_STEPS = 3  # the normalisation between two Transposes
_WORTH_MOVING = 16  # channels
_FEW = 4096  # elements of a scale that nothing asks for, and that the file would grow by


@dataclass(frozen=True, kw_only=True)
class FuseMomentsIntoLayerNorm(FuseNormalisation):
    """Fuse what brings the last axes of a value to mean 0 and variance 1 into one LayerNormalization."""

    name: ClassVar[str] = "fuse-moments-into-layer-norm"
    makes: ClassVar[tuple[type[Op], ...]] = (LayerNormalization,)

    def find(self, graph: Graph, node: int) -> Normalised | None:
        """A value less its mean along the last axes, normalised; channels by themselves are instances."""
        m = normalised(graph, node) if graph.model.opset >= _SINCE else None
        if m is None or centred(graph, m) is None or are_instances(graph, m):
            return None
        if (channels := _channels(graph, m)) is not None:
            return m if channels >= _WORTH_MOVING else None
        sizes = trailing_sizes(graph, m)
        return m if sizes is not None and (prod(sizes) <= _FEW or scale_follows(graph, m)) else None

    @requirement
    def what_goes_outweighs_the_transposes(self, graph: Graph, m: Normalised) -> bool:
        """Along the channels, more operations are there for nothing else than the three in their place."""
        x = centred(graph, m)
        assert x is not None
        return _channels(graph, m) is None or len(made_only_for(graph, m.result, of=x)) > _STEPS

    def apply(self, edit: Edit, m: Normalised) -> None:
        """Put a LayerNormalization with a scale of 1 in the place of all."""
        x, channels = centred(edit.graph, m), _channels(edit.graph, m)
        sizes = trailing_sizes(edit.graph, m) if channels is None else (channels,)
        assert sizes is not None
        scale = edit.constant(ones(edit.graph, m, sizes), name="scale")
        op = LayerNormalization(axis=-len(sizes), epsilon=m.epsilon)
        if channels is None:
            edit.replace(m.result, edit.add(op, x, scale, like=m.result.node))
            return
        rank = edit.graph.type(m.x).rank or 0
        last, first = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
        y = edit.add(op, edit.add(Transpose(perm=last), x), scale, like=m.result.node)
        edit.replace(m.result, edit.add(Transpose(perm=first), y))


def _channels(graph: Graph, m: Normalised) -> int | None:
    """How many channels are normalised, where those are, and are not the last axis."""
    shape = graph.type(m.x).shape or ()
    count = shape[1] if m.axes == (1,) and len(shape) > 2 else None
    return count if isinstance(count, int) else None
