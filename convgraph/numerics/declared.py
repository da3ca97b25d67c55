"""What rewrites that round more than what they replace declare, and how it is propagated.

A kernel that is transformed into Winograd's form (``convgraph.passes.algebra.transform_conv_into_winograd``)
multiplies sums of pixels with sums of taps, that cancel afterwards: it errs as the convolution would with
taps some floats beside their own, as many as ``FLOATS`` says. So when the original's noise is measured, the
taps that became part of such a kernel are moved by so many floats instead of one: what this does to the
outputs is what the rewrite may do to them, and no other layer is given more.

It also errs where a tile has pixels that the convolution itself does not meet, as beside an impulse: moved
taps do not move that, and such a result may be called different.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from onnx import ModelProto, NodeProto

from convgraph.numerics.structure import named_tensors

FLOATS: Mapping[tuple[int, ...], int] = {(16, 9): 8, (36, 9): 32, (6, 3): 8}
"""How many floats beside its own a tap may seem to be, by the numbers of a transform's points and of taps."""

_CONVOLUTIONS = ("Conv", "ConvTranspose")


def moved_further(old: ModelProto, new: ModelProto) -> dict[str, int]:
    """The weights of ``old`` that are in transformed kernels of ``new``, and how many floats to move each.

    A kernel stands for all convolutions of ``old`` between the first value after it and those before it that
    both models have by name.
    """
    before, after = _made(old), _made(new)
    known = {name for tensor, name in named_tensors(old) if name}
    kept = {*after, *(i.name for i in new.graph.input)}
    floats: dict[str, int] = {}
    for conv, more in _transformed(new, after):
        if not before.keys().isdisjoint(conv.output):
            continue  # it was one before
        ends = _first_after(conv, new, names=before)
        names = known & _weights_between(ends, before, until=kept)
        floats |= {name: max(more, floats.get(name, 0)) for name in names}
    return floats


def _made(model: ModelProto) -> dict[str, NodeProto]:
    """The node that computes each value."""
    nodes = (node for node in model.graph.node if node.op_type != "Constant")
    return {name: node for node in nodes for name in node.output if name}


def _transformed(model: ModelProto, made: Mapping[str, NodeProto]) -> Iterator[tuple[NodeProto, int]]:
    """The convolutions whose weight is made by a transform of taps, and how many floats these may be off."""
    shapes = {name: tuple(tensor.dims) for tensor, name in named_tensors(model) if name}
    for node in model.graph.node:
        weight = made.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is not None and weight.op_type == "Reshape":
            weight = made.get(weight.input[0])
        if weight is None or weight.op_type != "MatMul":
            continue
        sizes = shapes.get(weight.input[0], ())
        if sizes in FLOATS:
            yield node, FLOATS[sizes]


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


def _weights_between(
    ends: Iterable[str], made: Mapping[str, NodeProto], *, until: Collection[str]
) -> set[str]:
    """All that the weights follow from of the convolutions that make values from others of these names."""
    weights = {n.input[1] for n in _upwards(ends, made, until=until) if n.op_type in _CONVOLUTIONS}
    return weights.union(*(node.input for node in _upwards(weights, made, until=())))


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
