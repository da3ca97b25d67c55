"""Seeded faults: models that are almost another model, to measure what a comparison can see.

Each kind of fault is one that a wrong rewrite would make. A comparison that calls any of them equal is blind
to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from convgraph.ir.tensor import Array

SCALED = 1.001
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_ORDERED = ("Sub", "Div", "Concat", "MatMul")  # operations whose first two operands may not change places


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A model with one thing wrong, and what that is."""

    kind: str
    description: str
    model: ModelProto


Draw = np.random.Generator
_Break = Callable[[ModelProto, Draw], str | None]


def faults(model: ModelProto, *, seed: int = 0) -> Iterator[Fault]:
    """One fault of every kind that the model offers a place for; the same seed picks the same places.

    The model itself stays as it is. Weights have to be initializers of the model's own file.
    """
    for number, (kind, break_) in enumerate(KINDS.items()):
        broken = ModelProto()
        broken.CopyFrom(model)
        description = break_(broken, np.random.default_rng([seed, number]))
        if description is not None:
            yield Fault(kind=kind, description=description, model=broken)


def _pick(nodes: Sequence[NodeProto], draw: Draw) -> NodeProto | None:
    return nodes[int(draw.integers(len(nodes)))] if nodes else None


def _called(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _drop_activation(model: ModelProto, draw: Draw) -> str | None:
    """Identity where there was a Relu."""
    node = _pick([n for n in model.graph.node if n.op_type == "Relu"], draw)
    if node is None:
        return None
    node.op_type = "Identity"
    return f"Identity for Relu {node.name or node.output[0]}"


def _add_activation(model: ModelProto, draw: Draw) -> str | None:
    """A Relu where there was an Identity, or behind the last convolution."""
    node = _pick([n for n in model.graph.node if n.op_type == "Identity"], draw)
    if node is not None:
        node.op_type = "Relu"
        return f"Relu for Identity {node.name or node.output[0]}"
    places = [i for i, n in enumerate(model.graph.node) if n.op_type in _CONVOLUTIONS]
    if not places:
        return None
    conv = model.graph.node[places[-1]]
    name = conv.output[0]
    conv.output[0] = f"{name}_before_relu"
    model.graph.node.insert(places[-1] + 1, helper.make_node("Relu", [conv.output[0]], [name]))
    return f"a Relu behind {_called(conv)}"


def _swap_channels(model: ModelProto, draw: Draw) -> str | None:
    """Two output channels of a weight in each other's place."""

    def swapped(weight: Array) -> Array:
        first, second = draw.choice(len(weight), size=2, replace=False)
        order = np.arange(len(weight))
        order[[first, second]] = second, first
        return np.asarray(weight[order])

    return _change_weight(model, draw, swapped, what="two channels swapped")


def _scale_weight(model: ModelProto, draw: Draw) -> str | None:
    """Every element of a weight a thousandth larger."""
    return _change_weight(model, draw, lambda w: w * np.asarray(SCALED, w.dtype), what=f"times {SCALED}")


def _move_tap(model: ModelProto, draw: Draw) -> str | None:
    """A kernel moved by one tap along its last axis."""
    return _change_weight(model, draw, lambda w: np.roll(w, 1, axis=-1), what="moved by one tap")


def _drop_bias_entry(model: ModelProto, draw: Draw) -> str | None:
    """The largest entry of a bias zero."""

    def dropped(bias: Array) -> Array:
        changed = bias.copy()
        changed.reshape(-1)[np.argmax(np.abs(bias.astype(np.float64)))] = 0
        return changed

    return _change_weight(model, draw, dropped, slot=2, what="without its largest entry")


def _change_weight(
    model: ModelProto, draw: Draw, change: Callable[[Array], Array], *, what: str, slot: int = 1
) -> str | None:
    """Change an initializer that a convolution reads, where the change makes a difference."""
    tensors = {t.name: t for t in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type in _CONVOLUTIONS and len(n.input) > slot]
    for place in draw.permutation(len(nodes)):
        node = nodes[int(place)]
        tensor = tensors.get(node.input[slot])
        if tensor is not None and _alter(tensor, change):
            return f"{'bias' if slot == 2 else 'weight'} of {_called(node)} {what}"
    return None


def _alter(tensor: TensorProto, change: Callable[[Array], Array]) -> bool:
    data = numpy_helper.to_array(tensor)
    if len(data) < 2:
        return False
    changed = np.ascontiguousarray(change(data))
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    return not np.array_equal(data, changed)


def _shift_padding(model: ModelProto, draw: Draw) -> str | None:
    """One row of padding moved from the beginning of an axis to its end."""
    node = _pick([n for n in model.graph.node if _first_pad(n) is not None], draw)
    if node is None:
        return None
    pads = next(a for a in node.attribute if a.name == "pads")
    axis = _first_pad(node) or 0
    pads.ints[axis] -= 1
    pads.ints[axis + len(pads.ints) // 2] += 1
    return f"padding of {_called(node)} shifted by one on spatial axis {axis}"


def _first_pad(node: NodeProto) -> int | None:
    """The first axis with padding at its beginning, of a node whose padding is an attribute."""
    pads = next((list(a.ints) for a in node.attribute if a.name == "pads"), [])
    return next((axis for axis, begin in enumerate(pads[: len(pads) // 2]) if begin > 0), None)


def _permute_outputs(model: ModelProto, draw: Draw) -> str | None:
    """Two graph outputs in each other's place, names staying."""
    outputs = list(model.graph.output)
    if len(outputs) < 2:
        return None
    first, second = (outputs[int(i)].name for i in draw.choice(len(outputs), size=2, replace=False))
    renamed = {first: second, second: first}
    for node in model.graph.node:
        node.output[:] = [renamed.get(name, name) for name in node.output]
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return f"outputs {first} and {second} permuted"


def _swap_operands(model: ModelProto, draw: Draw) -> str | None:
    """The first two operands of an operation that is not commutative exchanged."""
    node = _pick([n for n in model.graph.node if n.op_type in _ORDERED and len(set(n.input)) > 1], draw)
    if node is None:
        return None
    node.input[0], node.input[1] = node.input[1], node.input[0]
    return f"operands of {_called(node)} exchanged"


KINDS: Mapping[str, _Break] = MappingProxyType(
    {
        "activation dropped": _drop_activation,
        "activation added": _add_activation,
        "channels swapped": _swap_channels,
        "padding shifted": _shift_padding,
        "weight scaled": _scale_weight,
        "bias entry dropped": _drop_bias_entry,
        "tap moved": _move_tap,
        "outputs permuted": _permute_outputs,
        "operands exchanged": _swap_operands,
    }
)
