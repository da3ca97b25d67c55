"""Apply a function to the pixels of an image before it is enlarged, not after.

    f(resize(x), c)  ->  resize(f(x, c))
    f(concat(resize(x), …, y), c)  ->  concat(resize(f(x, c_x)), …, f(y, c_y))

c is what else goes into f, the same at every place: a number, or one for each channel or sample, and c_x what
belongs to the channels of x. Nearest sampling copies pixels, so that f may be any function of them, an
activation say; a pixel that is interpolated is a sum of pixels with weights that add up to 1, which scales,
shifts and normalisations by stored statistics let pass. Enlarging by s on each of two axes leaves 1/s² of the
work of f, and brings the enlargement next to the convolution that it may become part of. Exact in real
arithmetic, and bit by bit where pixels are copied. Blocks that normalise and activate before they convolve
(He et al., Identity Mappings in Deep Residual Networks, 2016) do so to what a decoder enlarged and joined.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import ClassVar

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import (
    Activation,
    Add,
    BatchNormalization,
    Concat,
    Div,
    MaxPool,
    Mul,
    Neg,
    Op,
    Resize,
    Sub,
    Unary,
)
from convgraph.passes.algebra.move_pointwise_conv_before_resize import (
    keeps_channels,
    resize_at,
    resized_as,
    samples_the_image_alone,
)
from convgraph.passes.rewrite import Measure, PricedRewrite, requirement, target_cost

_COMBINED = (Add, Sub, Mul, Div)
_SHIFTS = (Add, Sub, BatchNormalization)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOfImages:
    """The function, which of its operands is the image or a Concat of images, and those images."""

    function: int
    slot: int
    images: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class MoveFunctionBeforeResize(PricedRewrite[FunctionOfImages]):
    """Apply a function to the pixels of an image before it is enlarged, not after."""

    name: ClassVar[str] = "move-function-before-resize"
    roots: ClassVar[tuple[type[Op], ...]] = (Activation, Unary, *_COMBINED, BatchNormalization)
    measure: ClassVar[Measure] = staticmethod(target_cost)

    def find(self, graph: Graph, node: int) -> FunctionOfImages | None:
        """A function of a Resize, or of a Concat of one along the channels; no sum of two of them.

        A MaxPool that numbers the pixels it takes needs equal ones to stay equal, which rounding may end. No
        shift before a cubic: its four weights miss 1 by a rounding or two, and the result by as much.
        """
        op, operands = graph.op(node), graph.operands(node)
        if (isinstance(op, BatchNormalization) and op.training_mode) or _is_numbered(graph, node):
            return None
        for slot, value in enumerate(operands[: 2 if isinstance(op, _COMBINED) else 1]):
            images = () if value is None else _images(graph, value)
            modes = {up.mode for up in map(graph.producer, images) if isinstance(up, Resize)}
            if modes and not (isinstance(op, _SHIFTS) and "cubic" in modes):
                return FunctionOfImages(function=node, slot=slot, images=images)
        return None

    @requirement
    def only_space_is_resized(self, graph: Graph, m: FunctionOfImages) -> bool:
        """Neither samples nor channels are sampled anew."""
        sources = ((graph.operand(n, 0), n) for n in _resizes(graph, m))
        return all(
            x is not None
            and keeps_channels(graph, n)
            and graph.type(x).dim(0) == graph.type(Value(n, 0)).dim(0) is not None
            for x, n in sources
        )

    @requirement
    def sampling_weights_add_up_to_one(self, graph: Graph, m: FunctionOfImages) -> bool:
        """No pixel is extrapolated to a fixed value (tf_crop_and_resize)."""
        return all(samples_the_image_alone(graph, node) for node in _resizes(graph, m))

    @requirement
    def interpolation_lets_the_function_pass(self, graph: Graph, m: FunctionOfImages) -> bool:
        """Pixels are copied (nearest), or the function scales and shifts them only."""
        op = graph.op(m.function)
        scales = isinstance(op, (*_SHIFTS, Mul, Neg)) or (isinstance(op, Div) and m.slot == 0)
        return scales or all(resize_at(graph, node).mode == "nearest" for node in _resizes(graph, m))

    @requirement
    def what_else_goes_in_is_the_same_everywhere(self, graph: Graph, m: FunctionOfImages) -> bool:
        """What the image is combined with has one pixel, and makes the image no larger."""
        image, result = graph.operand(m.function, m.slot), graph.type(Value(m.function, 0))
        assert image is not None
        same = graph.type(image).shape == result.shape is not None
        return same and all(_is_pixel(graph, m, value) for _, value in _parameters(graph, m))

    @requirement
    def what_belongs_to_each_image_is_known(self, graph: Graph, m: FunctionOfImages) -> bool:
        """The image stands alone, or parameters are constants for known numbers of channels."""
        parameters = _parameters(graph, m)
        if len(m.images) == 1 or not parameters:
            return True
        known = all(isinstance(graph.type(image).dim(1), int) for image in m.images)
        return known and all(graph.constant(value) is not None for _, value in parameters)

    def replaces(self, graph: Graph, match: FunctionOfImages) -> tuple[int, ...]:
        """The function, the Concat if there is one, and what enlarges the images."""
        operand = graph.operand(match.function, match.slot)
        joined = [operand.node] if operand is not None and operand not in match.images else []
        return (match.function, *joined, *dict.fromkeys(_resizes(graph, match)))

    def apply(self, edit: Edit, m: FunctionOfImages) -> None:
        """Put the images of what the function makes of each in the place of its result."""
        graph, made = edit.graph, list[Value]()
        joined = graph.operand(m.function, m.slot)
        assert joined is not None
        ends = pairwise(accumulate((_channels(graph, image) for image in m.images), initial=0))
        for image, (begin, end) in zip(m.images, ends, strict=True):
            enlarged = isinstance(graph.producer(image), Resize)
            operands = list(graph.operands(m.function))
            operands[m.slot] = graph.operand(image.node, 0) if enlarged else image
            for slot, value in _parameters(graph, m) if len(m.images) > 1 else ():
                operands[slot] = _cut(edit, m, value, begin=begin, end=end)
            like = m.function if len(m.images) == 1 else None
            small = edit.add(graph.op(m.function), *operands, like=like)
            made.append(resized_as(edit, image.node, small) if enlarged else small)
        whole = made[0] if len(made) == 1 else edit.add(Concat(axis=1), *made, like=joined.node)
        edit.replace(Value(m.function, 0), whole)


def _is_numbered(graph: Graph, node: int) -> bool:
    readers = [use.node for use in graph.readers(Value(node, 0))]
    return any(isinstance(graph.op(n), MaxPool) and len(graph.results(n)) > 1 for n in readers)


def _images(graph: Graph, value: Value) -> tuple[Value, ...]:
    """The images that a value joins along the channels; the value itself if it joins none."""
    op, rank = graph.producer(value), graph.type(value).rank
    if not isinstance(op, Concat) or op.axis not in (1, 1 - (rank or 0)):
        return (value,)
    return tuple(part for part in graph.operands(value.node) if part is not None)


def _resizes(graph: Graph, m: FunctionOfImages) -> Iterator[int]:
    return (image.node for image in m.images if isinstance(graph.producer(image), Resize))


def _parameters(graph: Graph, m: FunctionOfImages) -> list[tuple[int, Value]]:
    """What else goes into the function, by operand slot."""
    operands = enumerate(graph.operands(m.function))
    return [(slot, value) for slot, value in operands if slot != m.slot and value is not None]


def _is_pixel(graph: Graph, m: FunctionOfImages, value: Value) -> bool:
    """Whether a value is the same at every place of the image; a normalisation has a number a channel."""
    shape, rank = graph.type(value).shape, graph.type(Value(m.function, 0)).rank or 0
    if isinstance(graph.op(m.function), BatchNormalization):
        return True
    return shape is not None and set(shape[max(len(shape) - rank + 2, 0) :]) <= {1}


def _channels(graph: Graph, image: Value) -> int:
    size = graph.type(image).dim(1)
    return size if isinstance(size, int) else 0


def _cut(edit: Edit, m: FunctionOfImages, value: Value, *, begin: int, end: int) -> Value:
    """The part of a constant parameter that belongs to some channels."""
    tensor = edit.graph.constant(value)
    assert tensor is not None
    array, rank = tensor.numpy(), edit.graph.type(Value(m.function, 0)).rank or 0
    axis = 0 if isinstance(edit.graph.op(m.function), BatchNormalization) else array.ndim - rank + 1
    if axis < 0 or array.shape[axis] == 1:
        return value
    return edit.constant(array.take(range(begin, end), axis=axis), like=value)
