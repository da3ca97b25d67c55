"""Fold an enlargement by repeated pixels into the convolution that reads it next to other images.

    conv(concat(resize_nearest(x, s), y), [W, V], b)  ->  conv_transpose(x, W′; stride s) + conv(y, V, b)

where W′ is as in fold_nearest_resize_into_conv. A convolution of images side by side is a sum of convolutions
of each; the enlarged ones then take fewer multiplications, and neither they nor the joined images are written
out. Decoders with skip connections (U-Net) are made of such joints. Exact in real arithmetic; floating point
differs by reassociation only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, Concat
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import WeightedConv, constant_weight
from convgraph.passes.algebra.outer_taps import convolution
from convgraph.passes.algebra.pointwise import is_pointwise
from convgraph.passes.algebra.repeated import Enlarged, FoldsEnlargement, enlarged, transpose_convolved
from convgraph.passes.rewrite import requirement


class _Joined(NamedTuple):
    """One of the joined images, the channels that are its, and what it is an enlargement of, if it is one."""

    value: Value
    channels: slice
    part: Enlarged | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOfJoined(WeightedConv):
    """A convolution, the Concat it reads, and the joined images in order."""

    concat: int
    images: tuple[_Joined, ...]


@dataclass(frozen=True, kw_only=True)
class FoldNearestResizeThroughConcatIntoConv(FoldsEnlargement[ConvOfJoined]):
    """Fold an enlargement by repeated pixels into the convolution that reads it next to other images."""

    name: ClassVar[str] = "fold-nearest-resize-through-concat-into-conv"

    def find(self, graph: Graph, node: int) -> ConvOfJoined | None:
        """A convolution, other than a pointwise one, of images side by side, one of them enlarged."""
        value = graph.operand(node, 0)
        if value is None or not isinstance(graph.producer(value), Concat) or is_pointwise(graph, node):
            return None
        images = tuple(_joined(graph, value.node))
        if all(image.part is None for image in images):
            return None
        return ConvOfJoined(conv=node, concat=value.node, images=images)

    @requirement
    def the_images_are_linear_apart(self, graph: Graph, m: ConvOfJoined) -> bool:
        """The convolution has one group and no activation."""
        op = convolution(graph, m.conv)
        return op.group == 1 and op.activation is None

    def parts(self, graph: Graph, match: ConvOfJoined) -> Sequence[tuple[Enlarged, Array]]:
        """The enlarged ones among the images."""
        weight = constant_weight(graph, match.conv)[1]
        return [(i.part, weight[:, i.channels]) for i in match.images if i.part is not None]

    def replaces(self, graph: Graph, match: ConvOfJoined) -> tuple[int, ...]:
        """The Resizes, the Concat and the convolution."""
        resizes = {image.part.resize for image in match.images if image.part is not None}
        return (*resizes, match.concat, match.conv)

    def apply(self, edit: Edit, m: ConvOfJoined) -> None:
        """Put a sum in its place: a convolution of the images as they are, and one for each enlarged one."""
        _, _, *bias = edit.graph.operands(m.conv)
        terms = _as_they_are(edit, m, bias)
        for part, weight in self.parts(edit.graph, m):
            once = () if terms else bias
            terms.append(transpose_convolved(edit, m.conv, part, weight, *once))
        total, *others = terms
        for term in others:
            total = edit.add(Add(), total, term)
        edit.replace(Value(m.conv, 0), total)


def _joined(graph: Graph, concat: int) -> Iterator[_Joined]:
    """The images that a Concat joins along the channels; none where their channels are not known."""
    op, values = graph.op(concat), [value for value in graph.operands(concat) if value is not None]
    kinds = [graph.type(value) for value in values]
    counts = [n for n in (kind.dim(1) for kind in kinds) if isinstance(n, int)]
    if not isinstance(op, Concat) or op.axis not in (1, 1 - (kinds[0].rank or 0)) or len(counts) < len(kinds):
        return
    for value, (begin, end) in zip(values, pairwise(accumulate(counts, initial=0)), strict=True):
        yield _Joined(value, slice(begin, end), enlarged(graph, value))


def _as_they_are(edit: Edit, m: ConvOfJoined, bias: Sequence[Value | None]) -> list[Value]:
    """The convolution of the images that are not enlarged, in their order; none where all are."""
    old, weight = constant_weight(edit.graph, m.conv)
    plain = [image for image in m.images if image.part is None]
    if not plain:
        return []
    values = [image.value for image in plain]
    x = values[0] if len(values) == 1 else edit.add(Concat(axis=1), *values, like=m.concat)
    kept = np.concatenate([weight[:, image.channels] for image in plain], axis=1)
    return [edit.add(edit.graph.op(m.conv), x, edit.constant(kept, like=old), *bias, like=m.conv)]
