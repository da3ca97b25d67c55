"""What rewrites that round more than what they replace declare, and how it is propagated.

A kernel that is transformed into Winograd's form (``convgraph.passes.algebra.transform_conv_into_winograd``)
multiplies sums of pixels with sums of taps, that cancel afterwards. It errs as the convolution would

* with taps some floats beside their own, as many as ``FLOATS`` says, and
* with something of the results around each result: a pixel of the tile that the result does not depend on
  leaves a rounding behind, which shows beside an impulse.

So when the original's noise is measured, the taps that became part of such a kernel are moved by so many
floats instead of one, and what the convolutions of such taps result in seeps into its surroundings: what this
does to the outputs is what the rewrite may do to them, and no other layer is given more.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from convgraph.numerics.structure import named_tensors

ALONG: Mapping[tuple[int, ...], int] = {
    (3, 2): 8, (4, 3): 8, (5, 4): 12, (6, 3): 16, (6, 4): 8, (6, 5): 16, (7, 4): 24, (7, 5): 8,
    (7, 6): 24, (8, 3): 32, (8, 5): 32, (8, 6): 8, (8, 7): 32, (9, 7): 12, (10, 3): 12, (10, 4): 12,
    (10, 8): 12, (11, 5): 16, (11, 9): 16, (12, 5): 16, (12, 6): 16, (12, 10): 16, (13, 7): 24,
    (13, 11): 24, (14, 8): 24, (14, 12): 24, (15, 5): 32, (15, 9): 32, (15, 13): 32, (16, 6): 32,
    (16, 10): 32, (16, 14): 32,
}  # fmt: skip
"""How many floats beside its own a tap may seem to be, by the numbers of points and of taps along an axis."""

_LEAST = min(ALONG.values())


def _along_both(one: int, other: int) -> int:
    """How many along two axes, of which each may do with so many."""
    return one * other // _LEAST


FLOATS: Mapping[tuple[int, ...], int] = {
    **{
        (p * q, r * s): _along_both(one, other)
        for ((p, r), one), ((q, s), other) in product(ALONG.items(), repeat=2)
    },
    **ALONG,
}
"""The same by the numbers of a transform's points and of taps, along an axis or two."""

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_SEEDS = 1 << 24  # floats that are whole numbers
_AROUND = 7  # pixels: across a tile of 4 × 4 outputs, of an image that is upsampled by 2 afterwards


@dataclass(frozen=True, slots=True)
class Declared:
    """What may err by more than one rounding.

    ``weights`` are moved by so many floats, each; of ``results``, which convolutions compute, so much seeps
    into their surroundings, as a part of the largest there.
    """

    weights: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, float] = field(default_factory=dict)

    def seep(self, model: ModelProto, *, rng: np.random.Generator) -> None:
        """Let the results of a message seep into their surroundings, at random, when it is run."""
        if not self.results:
            return
        nodes = [more for node in model.graph.node for more in self._seeping(node, rng)]
        model.graph.ClearField("node")
        model.graph.node.extend(nodes)

    def _seeping(self, node: NodeProto, rng: np.random.Generator) -> Iterator[NodeProto]:
        """A convolution, then what is added to it before its bias is; any other node alone."""
        part = self.results.get(node.output[0]) if node.op_type in _CONVOLUTIONS and node.output else None
        axes = _axes(node)
        if part is None or not axes:
            yield node
            return
        result, bias = node.output[0], [*node.input[2:], ""][0]
        size, bare, seeped, shape = (f"{result} {word}" for word in ("size", "bare", "seeped", "bias shape"))
        node.output[0] = bare
        del node.input[2:]
        yield node
        yield helper.make_node("Abs", [bare], [f"{size} 0"])
        for axis in range(axes):  # one axis after the other: all at once is a pass for each pixel around
            window = [1 + 2 * _AROUND * (axis == other) for other in range(axes)]
            pads = [_AROUND * (axis == other) for other in range(axes)] * 2
            before, after = [f"{size} {axis}"], [f"{size} {axis + 1}"]
            yield helper.make_node("MaxPool", before, after, kernel_shape=window, pads=pads)
        seed = float(rng.integers(_SEEDS))
        yield helper.make_node(
            "RandomUniformLike", [bare], [f"{result} part"], low=-part, high=part, seed=seed
        )
        yield helper.make_node("Mul", [f"{size} {axes}", f"{result} part"], [f"{result} more"])
        yield helper.make_node("Add", [bare, f"{result} more"], [seeped if bias else result])
        if bias:
            sizes = helper.make_tensor("", TensorProto.INT64, [2 + axes], [1, -1, *[1] * axes])
            yield helper.make_node("Constant", [], [shape], value=sizes)
            yield helper.make_node("Reshape", [bias, shape], [f"{result} bias"])
            yield helper.make_node("Add", [seeped, f"{result} bias"], [result])


def _axes(node: NodeProto) -> int:
    """How many spatial axes a convolution says that it has; 0 where it leaves that to its weight."""
    sizes = {a.name: len(a.ints) for a in node.attribute}
    said = (sizes.get("kernel_shape", 0), sizes.get("strides", 0), sizes.get("pads", 0) // 2)
    return max(*said, sizes.get("dilations", 0))


def declared(old: ModelProto, new: ModelProto) -> Declared:
    """What may err more in ``new`` than in ``old``, by its names in ``old``.

    A kernel stands for all convolutions of ``old`` between the first value after it and those before it that
    both models have by name.
    """
    before, after = _made(old), _made(new)
    types = {name: tensor.data_type for tensor, name in named_tensors(old) if name}
    kept = {*after, *(i.name for i in new.graph.input)}
    floats: dict[str, int] = {}
    parts: dict[str, float] = {}
    for conv, more in _transformed(new, after):
        if not before.keys().isdisjoint(conv.output):
            continue  # it was one before
        convolutions = _convolutions_between(_first_after(conv, new, names=before), before, until=kept)
        for convolution in convolutions:
            weight = convolution.input[1]
            names = {weight, *(n for node in _upwards([weight], before, until=()) for n in node.input)}
            known = names & types.keys()
            floats |= {name: max(more, floats.get(name, 0)) for name in known}
            part = more * max((_rounding(types[name]) for name in known), default=0.0)
            parts[convolution.output[0]] = max(part, parts.get(convolution.output[0], 0.0))
    return Declared(floats, parts)


def _rounding(data_type: int) -> float:
    """The largest relative error of one rounding to an element type; 0 for no float of numpy's."""
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(data_type))
    return float(np.finfo(dtype).eps) / 2 if dtype.kind == "f" else 0.0


def _made(model: ModelProto) -> dict[str, NodeProto]:
    """The node that computes each value."""
    nodes = (node for node in model.graph.node if node.op_type != "Constant")
    return {name: node for node in nodes for name in node.output if name}


def _transformed(model: ModelProto, made: Mapping[str, NodeProto]) -> Iterator[tuple[NodeProto, int]]:
    """The convolutions whose weight is a transform of taps, and how many floats these may be off."""
    shapes = {name: tuple(tensor.dims) for tensor, name in named_tensors(model) if name}
    back = {one.input[1]: shapes.get(one.input[0], ()) for one in made.values() if one.op_type == "MatMul"}
    turned = {one.input[0]: back.get(one.output[0], ()) for one in made.values() if one.op_type == "Reshape"}
    for node in model.graph.node:
        weight = made.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is not None and weight.op_type == "Reshape":
            weight = made.get(weight.input[0])
        if weight is not None and weight.op_type == "MatMul":
            floats = FLOATS.get(shapes.get(weight.input[0], ()), 0)
        else:
            stored = node.op_type == "Conv" and node.input[1] in shapes
            floats = _of_points(_groups(node), turned.get(node.output[0], ())) if stored else 0
        if floats:
            yield node, floats


def _of_points(points: int, turned: tuple[int, ...]) -> int:
    """The same where only what turns products back is there, of ``points`` in all: (outputs, points).

    They may be those of two axes, of which the other is turned back afterwards. 0 for no such matrix.
    """
    along = {most: max(floats for (n, _), floats in ALONG.items() if n == most) for most, _ in ALONG}
    if points == 1 or len(turned) != 2 or not turned[0] < turned[1] or points % turned[1]:
        return 0
    one, other = along.get(turned[1], 0), along.get(points // turned[1], 0)
    return one if points == turned[1] else _along_both(one, other)


def _groups(node: NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "group"), 1)


def _first_after(node: NodeProto, model: ModelProto, *, names: Collection[str]) -> list[str]:
    """The first values that follow from a node's results and have one of these names."""
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for reader in model.graph.node:
        for name in reader.input:
            readers[name].append(reader)
    found: list[str] = []
    waiting, seen = list(node.output), set(node.output)
    while waiting:
        value = waiting.pop()
        if value in names:
            found.append(value)
            continue
        fresh = {name for reader in readers[value] for name in reader.output} - seen
        seen |= fresh
        waiting.extend(fresh)
    return found


def _convolutions_between(
    ends: Iterable[str], made: Mapping[str, NodeProto], *, until: Collection[str]
) -> list[NodeProto]:
    """The convolutions that make values from others of these names."""
    return [node for node in _upwards(ends, made, until=until) if node.op_type in _CONVOLUTIONS]


def _upwards(
    values: Iterable[str], made: Mapping[str, NodeProto], *, until: Collection[str]
) -> Iterator[NodeProto]:
    """The nodes that values follow from, up to values of these names."""
    waiting = [made[value] for value in values if value in made]
    seen = {id(node) for node in waiting}
    while waiting:
        node = waiting.pop()
        yield node
        above = [made[name] for name in node.input if name in made and name not in until]
        fresh = {id(one): one for one in above if id(one) not in seen}
        seen |= fresh.keys()
        waiting.extend(fresh.values())
