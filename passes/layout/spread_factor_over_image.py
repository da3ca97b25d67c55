"""Spread the factors of whole channels over the image before they meet it.

    x · s  ->  x · nearest(s; H × W times)        x: N × C × H × W, s: N × C × 1 × 1

onnxruntime multiplies blocks of channels by blocks of the same size only, and by constants: a factor that is
computed, as that of squeeze and excitation, takes the image out of blocks and back. Exact: the same products.

Source: Hu et al., Squeeze-and-Excitation Networks (2018), 3; onnxruntime's NchwcTransformer.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Use, Value
from convgraph.ir.ops import Mul, Op, Resize
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite

_IMAGE = 4  # axes of a batch of images
_REPEAT = Resize(coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadFactor:
    """A product, which of its operands is the factor, and the image beside it."""

    node: int
    slot: int
    image: Value
    factor: Value


@dataclass(frozen=True, kw_only=True)
class SpreadFactorOverImage(TimedRewrite[SpreadFactor]):
    """Spread the factors of whole channels over the image before they meet it."""

    name: ClassVar[str] = "spread-factor-over-image"
    roots: ClassVar[tuple[type[Op], ...]] = (Mul,)
    makes: ClassVar[tuple[type[Op], ...]] = (Resize,)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> SpreadFactor | None:
        """An image of several pixels, and a value of one for each of its channels that is computed."""
        if not self.can_be_judged:
            return None
        for slot, other in ((0, 1), (1, 0)):
            factor, image = graph.operand(node, slot), graph.operand(node, other)
            if factor is None or image is None or graph.constant(factor) is not None:
                continue
            sizes, size = graph.type(factor).shape or (), graph.type(image).shape or ()
            is_spread = len(sizes) == len(size) == _IMAGE and set(sizes[2:]) == {1} != set(size[2:])
            if is_spread and graph.type(image).dtype.is_float:
                return SpreadFactor(node=node, slot=slot, image=image, factor=factor)
        return None

    @requirement
    def the_image_is_of_known_size(self, graph: Graph, m: SpreadFactor) -> bool:
        """How many rows and columns the image has is known."""
        return all(isinstance(size, int) and size > 0 for size in (graph.type(m.image).shape or ())[2:])

    @requirement
    def each_channel_has_its_own(self, graph: Graph, m: SpreadFactor) -> bool:
        """There are as many samples and channels in the one as in the other."""
        one, other = (graph.type(value).shape or () for value in (m.factor, m.image))
        return None not in one[:2] and one[:2] == other[:2]

    def replaces(self, graph: Graph, match: SpreadFactor) -> tuple[int, ...]:
        """The product."""
        del graph
        return (match.node,)

    def apply(self, edit: Edit, m: SpreadFactor) -> None:
        """Put a Resize in front of it."""
        sizes = (edit.graph.type(m.image).shape or ())[2:]
        times = np.asarray([1, 1, *sizes], np.float32)
        wide = edit.add(_REPEAT, m.factor, None, edit.constant(times, name="times"))
        edit.rewire(Use(m.node, m.slot), wide)
