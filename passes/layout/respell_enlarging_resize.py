"""Count the pixels of an enlarged image in the way that a runtime has a fast kernel for.

    nearest(x; s times, half pixels, rounded to the next)  ->  nearest(x; s times, from the corner, floor)
    linear(x; s times, PyTorch's half pixels)  ->  linear(x; s times, half pixels)

For whole factors s both repeat each pixel s times, or weigh the same neighbours alike: PyTorch's half pixels
differ from half pixels where the result is a single pixel, which then is x itself, and symmetric ones where
the size is no multiple of x's. onnxruntime enlarges blocks of channels as they are in the second spelling
only. Exact: the same pixels.

Source: ONNX operator Resize-19, coordinate_transformation_mode; onnxruntime's NchwcTransformer.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Op, Resize
from convgraph.passes.algebra.repeated import repeats_pixels, scales_of
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite

_CORNER = ("asymmetric", "floor")
_HALVES = ("pytorch_half_pixel", "half_pixel_symmetric")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelled:
    """A Resize, and by how much each axis grows."""

    resize: int
    factors: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class RespellEnlargingResize(TimedRewrite[Spelled]):
    """Count the pixels of an enlarged image in the way that a runtime has a fast kernel for."""

    name: ClassVar[str] = "respell-enlarging-resize"
    roots: ClassVar[tuple[type[Op], ...]] = (Resize,)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> Spelled | None:
        """A nearest or linear Resize by constant factors that is spelled in another way."""
        op = graph.op(node)
        assert isinstance(op, Resize)
        counts = op.coordinate_transformation_mode
        is_other = (op.mode == "nearest" and (counts, op.nearest_mode) != _CORNER) or (
            op.mode == "linear" and counts in _HALVES
        )
        factors = scales_of(graph, node, op) if is_other and self.can_be_judged else None
        return None if factors is None else Spelled(resize=node, factors=tuple(factors))

    @requirement
    def each_axis_grows_by_a_whole_factor(self, graph: Graph, m: Spelled) -> bool:
        """Each axis gets a whole number of times as long."""
        del graph
        return all(float(factor).is_integer() and factor >= 1 for factor in m.factors)

    @requirement
    def it_repeats_each_pixel(self, graph: Graph, m: Spelled) -> bool:
        """A nearest Resize copies each pixel as often as the image grows, in a row."""
        op = _resize(graph, m)
        return op.mode == "linear" or all(repeats_pixels(op, int(factor)) for factor in m.factors)

    def replaces(self, graph: Graph, match: Spelled) -> tuple[int, ...]:
        """The Resize."""
        return (match.resize,)

    def apply(self, edit: Edit, m: Spelled) -> None:
        """Put one that counts otherwise in its place."""
        op = _resize(edit.graph, m)
        if op.mode == "nearest":
            op = replace(op, coordinate_transformation_mode=_CORNER[0], nearest_mode=_CORNER[1])
        else:
            op = replace(op, coordinate_transformation_mode="half_pixel")
        made = edit.add(op, *edit.graph.operands(m.resize), like=m.resize)
        edit.replace(Value(m.resize, 0), made)


def _resize(graph: Graph, m: Spelled) -> Resize:
    op = graph.op(m.resize)
    assert isinstance(op, Resize)
    return op
