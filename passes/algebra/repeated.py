"""Images enlarged by repeating every pixel, and convolutions of them as transposed convolutions of the image.

Pixel m of x enlarged by s is x[m // s], so that a kernel W moved over it by one pixel meets each pixel of x
s times in a row: with weights that add up, in a kernel of k + s − 1 taps, W turned round and convolved with s
ones. Beyond the border both see zeros; padding p leaves k − 1 − p to cut off the transposed convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Conv, ConvTranspose, Op, Resize
from convgraph.ir.tensor import Array
from convgraph.passes.algebra.constant_weight import LooksIntoWeight, WeightedConv, constant_weight
from convgraph.passes.algebra.outer_taps import convolution, known_pads
from convgraph.passes.algebra.tap_grid import blocks, places
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.rewrite import PricedRewrite, requirement

M = TypeVar("M", bound=WeightedConv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlarged:
    """An image, the Resize that enlarges it, and how often each pixel is repeated along each spatial axis."""

    image: Value
    resize: int
    times: tuple[int, ...]


def enlarged(graph: Graph, value: Value) -> Enlarged | None:
    """What a value repeats the pixels of; None when it is made in any other way."""
    op, image = graph.producer(value), graph.operand(value.node, 0)
    if not isinstance(op, Resize) or op.mode != "nearest" or image is None:
        return None
    times = times_of(graph, value.node, op)
    if times is None or max(times) == 1 or not all(repeats_pixels(op, factor) for factor in times):
        return None
    return Enlarged(image=image, resize=value.node, times=times)


def times_of(graph: Graph, node: int, op: Resize) -> tuple[int, ...] | None:
    """How many times as long each spatial axis gets, where that is constant and whole, and no other grows."""
    factors = scales_of(graph, node, op)
    if factors is None or len(factors) < 3 or factors[:2] != [1, 1]:
        return None
    whole = all(float(factor).is_integer() and factor >= 1 for factor in factors)
    return tuple(int(factor) for factor in factors[2:]) if whole else None


def repeats_pixels(op: Resize, factor: int) -> bool:
    """Whether output o is a copy of input o // factor."""
    match op.coordinate_transformation_mode:
        case "asymmetric":
            halves = op.nearest_mode == "round_prefer_floor" and factor == 2
            return op.nearest_mode == "floor" or halves or factor == 1
        case "half_pixel" | "half_pixel_symmetric" | "pytorch_half_pixel":
            return op.nearest_mode in ("round_prefer_floor", "round_prefer_ceil")
    return False


def scales_of(graph: Graph, node: int, op: Resize) -> list[float] | None:
    """By how much each axis grows, where that is constant: given as scales, or as sizes for a known size.

    Zero for an axis of which it is not known.
    """
    image, _, scales, *sizes = graph.operands(node)
    assert image is not None
    before, after = graph.type(image), graph.type(Value(node, 0))
    if before.rank is None:
        return None
    axes, factors = op.resized_axes(before.rank), [1.0] * before.rank
    given = graph.constant(scales)
    if given is not None and given.size:
        numbers: Sequence[float] = given.numpy().tolist()
    elif sizes and graph.constant(sizes[0]) is not None and op.keep_aspect_ratio_policy == "stretch":
        pairs = [(before.dim(axis), after.dim(axis)) for axis in axes]
        numbers = [a / b if isinstance(a, int) and isinstance(b, int) and b else 0.0 for b, a in pairs]
    else:
        return None
    for axis, number in zip(axes, numbers, strict=True):
        factors[axis] = number
    return factors


@dataclass(frozen=True, kw_only=True)
class FoldsEnlargement(LooksIntoWeight[M], PricedRewrite[M]):
    """A rewrite of a convolution whose input, or a part of it, repeats pixels.

    A kernel for the image itself has more taps. The weights may grow by ``size_limit`` bytes, or, unless that
    is 0, by less than they have, as those of a 3×3 kernel and twice the size do: so no model doubles.
    """

    name: ClassVar[str]
    roots: ClassVar[tuple[type[Op], ...]] = (Conv,)
    makes: ClassVar[tuple[type[Op], ...]] = (ConvTranspose,)

    size_limit: int = 1 << 20

    def parts(self, graph: Graph, match: M) -> Sequence[tuple[Enlarged, Array]]:
        """What repeats pixels, with the part of the weight (M, C/group, *kernel) that meets it."""
        raise NotImplementedError

    the_weight_is_constant = LooksIntoWeight.the_weight_is_constant  # checked first: what follows reads it

    @requirement
    def the_kernel_moves_pixel_by_pixel(self, graph: Graph, m: M) -> bool:
        """The convolution has neither strides nor dilations."""
        op = convolution(graph, m.conv)
        return {*op.strides, *op.dilations} == {1}

    @requirement
    def every_window_meets_the_image(self, graph: Graph, m: M) -> bool:
        """The padding is less than the kernel, and none is cropped away."""
        pads = known_pads(graph, m.conv)
        return pads is not None and min(pads) >= 0 and min(_cuts(graph, m.conv)) >= 0

    @requirement
    def the_model_grows_within_the_limit(self, graph: Graph, m: M) -> bool:
        """The kernels have at most ``size_limit`` bytes more, or, if that is not 0, less than twice."""
        parts = self.parts(graph, m)
        before = sum(weight.nbytes for _, weight in parts)
        after = sum(weight.itemsize * _taps(weight, part.times) for part, weight in parts)
        return after - before <= self.size_limit or (self.size_limit > 0 and after < 2 * before)

    @requirement
    def the_new_weights_are_finite(self, graph: Graph, m: M) -> bool:
        """The new weights stay within the range of their element type."""
        group = convolution(graph, m.conv).group
        return all(is_finite(_turned(w, part.times, group=group)) for part, w in self.parts(graph, m))


def transpose_convolved(
    edit: Edit, conv: int, part: Enlarged, weight: Array, *rest: Value | None, like: int | None = None
) -> Value:
    """What ``conv`` makes of an enlarged image with this weight, as a transposed convolution of the image."""
    op, old = convolution(edit.graph, conv), constant_weight(edit.graph, conv)[0]
    kernel = edit.constant(_turned(weight, part.times, group=op.group), like=old)
    activation = op.activation if like is not None else None
    transposed = ConvTranspose(
        strides=part.times,
        pads=_cuts(edit.graph, conv),
        dilations=op.dilations,
        group=op.group,
        activation=activation,
    )
    return edit.add(transposed, part.image, kernel, *rest, like=like)


def _cuts(graph: Graph, conv: int) -> tuple[int, ...]:
    """What to cut off at either end of each axis."""
    pads, kernel = known_pads(graph, conv), constant_weight(graph, conv)[1].shape[2:]
    assert pads is not None
    return tuple(k - 1 - p for k, p in zip(2 * kernel, pads, strict=True))


def _taps(weight: Array, times: Sequence[int]) -> int:
    sizes = (k + s - 1 for k, s in zip(weight.shape[2:], times, strict=True))
    return int(np.prod([*weight.shape[:2], *sizes]))


def _turned(weight: Array, times: Sequence[int], *, group: int) -> Array:
    """The transposed convolution's weight (C, M/group, *kernel + times − 1)."""
    kernel, axes = weight.shape[2:], tuple(range(2, weight.ndim))
    round_ = np.flip(weight, axes).astype(np.float64)
    sizes = (k + s - 1 for k, s in zip(kernel, times, strict=True))
    summed = np.zeros((*weight.shape[:2], *sizes))
    for shift in np.ndindex(*times):
        summed[:, :, *places(shift, steps=[1] * len(kernel), sizes=kernel)] += round_
    swapped = np.swapaxes(blocks(summed, group=group, into=group), 1, 2)
    with np.errstate(over="ignore"):  # refused as not finite
        return swapped.reshape(-1, *swapped.shape[2:]).astype(weight.dtype)
