"""Spell a scale and a shift of each channel as a convolution of each channel by itself.

    x · a + b  ->  conv(x, a, b; each channel by itself)
    x / a − b  ->  conv(x, 1 / a, −b; each channel by itself)
    batchnorm(x; γ, β, μ, σ²)  ->  conv(x, s, β − s·μ; each channel by itself)        s = γ / √(σ² + ε)

What neighbours can take is folded into them before. For what is left, as the affine layers of flows and of
networks that are normalised before they are activated, onnxruntime has a product of blocks of channels with a
number for each, and nothing else: a sum, a quotient or one number for all takes the image out of blocks and
back; and of activations only a convolution carries all. Exact in real arithmetic.

Source: ActNorm, Kingma and Dhariwal, Glow (2018); onnxruntime's NchwcTransformer.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from convgraph.ir.edit import Edit
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Add, BatchNormalization, Clip, Div, LeakyRelu, Mul, Op, Sub
from convgraph.passes.fusion.after_convolution import is_finite
from convgraph.passes.fusion.channelwise import Vector, beside_constants, channel_vector
from convgraph.passes.fusion.normalisation import are_constant, given, scale_and_shift
from convgraph.passes.layout.depthwise import IMAGE, channels_of_image, pointwise, rounded, weight_of
from convgraph.passes.rewrite import requirement
from convgraph.passes.timed import TimedRewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineChannels:
    """The operations that scale and shift the channels of an image, in order."""

    x: Value
    nodes: tuple[int, ...]


class _Step(NamedTuple):
    """What one operation does to each channel of an image."""

    x: Value
    scale: Vector
    shift: Vector


@dataclass(frozen=True, kw_only=True)
class RespellAffineAsConv(TimedRewrite[AffineChannels]):
    """Spell a scale and a shift of each channel as a convolution of each channel by itself."""

    name: ClassVar[str] = "respell-affine-as-conv"
    roots: ClassVar[tuple[type[Op], ...]] = (Add, Sub, Mul, Div, BatchNormalization)
    reads_weights: ClassVar[bool] = False

    def find(self, graph: Graph, node: int) -> AffineChannels | None:
        """An image with a constant for each channel beside it, or normalised by stored statistics.

        A product with a number for each channel runs on blocks as it is, so does a normalisation unless only
        a convolution carries the activation of it; what is scaled and then shifted starts there.
        """
        step = _step(graph, node) if self.can_be_judged else None
        if step is None or _runs_on_blocks(graph, node) or _is_shifted(graph, node):
            return None
        is_scaled = isinstance(graph.op(node), (Add, Sub)) and isinstance(graph.producer(step.x), (Mul, Div))
        before = _step(graph, step.x.node) if is_scaled else None
        if before is None or graph.sole_reader(step.x) is None:
            return AffineChannels(x=step.x, nodes=(node,))
        return AffineChannels(x=before.x, nodes=(step.x.node, node))

    @requirement
    def the_numbers_are_finite(self, graph: Graph, m: AffineChannels) -> bool:
        """Scale and shift stay within the range of their element type."""
        return all(is_finite(rounded(vector)) for vector in _affine(graph, m))

    def replaces(self, graph: Graph, match: AffineChannels) -> tuple[int, ...]:
        """The scale and the shift."""
        del graph
        return match.nodes

    def apply(self, edit: Edit, m: AffineChannels) -> None:
        """Put the convolution in their place."""
        (scale, shift), last = _affine(edit.graph, m), m.nodes[-1]
        bias = edit.constant(rounded(shift), name="shift")
        made = edit.add(pointwise(len(scale)), m.x, weight_of(edit, scale), bias, like=last)
        edit.replace(Value(last, 0), made)


def _runs_on_blocks(graph: Graph, node: int) -> bool:
    """Whether a node is a product with several constants, or a normalisation whose activation does, too."""
    if isinstance(graph.op(node), BatchNormalization):
        use = graph.sole_reader(Value(node, 0))
        return use is None or not isinstance(graph.op(use.node), (LeakyRelu, Clip))
    constants = (graph.constant(value) for value in graph.operands(node))
    return isinstance(graph.op(node), Mul) and any(c is not None and c.size > 1 for c in constants)


def _is_shifted(graph: Graph, node: int) -> bool:
    """Whether a product or quotient is read by a shift of its channels alone."""
    use = graph.sole_reader(Value(node, 0)) if isinstance(graph.op(node), (Mul, Div)) else None
    shifts = use is not None and isinstance(graph.op(use.node), (Add, Sub))
    return use is not None and shifts and _step(graph, use.node) is not None


def _affine(graph: Graph, m: AffineChannels) -> tuple[Vector, Vector]:
    """The scale and the shift of all together, float64, one number a channel each."""
    steps = [step for step in (_step(graph, node) for node in m.nodes) if step is not None]
    scale, shift = steps[0].scale, steps[0].shift
    for step in steps[1:]:
        scale, shift = step.scale * scale, step.scale * shift + step.shift
    return scale, shift


def _step(graph: Graph, node: int) -> _Step | None:
    """What an operation does to each channel of an image; None where it does anything else."""
    op, operands = graph.op(node), graph.operands(node)
    if isinstance(op, BatchNormalization):
        x, statistics = operands[0], given(operands)
        fits = x is not None and channels_of_image(graph, x) and not op.training_mode
        if x is None or not fits or not are_constant(graph, statistics):
            return None
        return _Step(x, *scale_and_shift(graph, op, statistics))
    found = ((x, c, first) for x, c, first in beside_constants(graph, node) if graph.constant(x) is None)
    for x, constant, first in found:
        channels = channels_of_image(graph, x)
        if channels is None or (first and isinstance(op, Div)):
            return None
        numbers = channel_vector(constant, rank=IMAGE, channels=channels)
        return None if numbers is None else _beside(op, x, numbers, first=first)
    return None


def _beside(op: Op, x: Value, numbers: Vector, *, first: bool) -> _Step:
    """The step of an operation on x and the numbers, which may come first."""
    ones, zeros = np.ones_like(numbers), np.zeros_like(numbers)
    if isinstance(op, (Mul, Div)):
        with np.errstate(divide="ignore"):  # refused as not finite
            return _Step(x, numbers if isinstance(op, Mul) else 1 / numbers, zeros)
    if isinstance(op, Sub):
        return _Step(x, -ones, numbers) if first else _Step(x, ones, -numbers)
    return _Step(x, ones, numbers)
