"""Seeded faults: models that are almost another model, to measure what a comparison can see.

Each kind of fault is one that a wrong rewrite would make. A comparison that calls any of them equal is blind
to it.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from convgraph.ir.tensor import Array
from convgraph.numerics.placed import Placed
from convgraph.numerics.structure import named_tensors

SCALED = 1.001
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_WEIGHTED = (*_CONVOLUTIONS, "Gemm", "MatMul")
_RECTIFIERS = ("Relu", "Clip")  # behind which a Relu more may change nothing
_ORDERED = ("Sub", "Div", "Concat", "MatMul")  # operations whose first two operands may not change places
_WEIGHT, _BIAS = 1, 2

Draw = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A model with one thing wrong, and what that is; ``at`` is the first result of the node at fault."""

    kind: str
    description: str
    at: str
    model: ModelProto


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A model that faults are made in, always in a copy; ``folder`` is where its external data lies."""

    model: ModelProto
    folder: Path
    _constants: Mapping[str, TensorProto]

    @classmethod
    def of(cls, model: ModelProto, *, folder: Path = Path()) -> "Patient":
        """The model with its constants looked up."""
        return cls(model=model, folder=folder, _constants=_constants(model))

    def broken(self, kind: str, *, at: int, seed: int = 0) -> Fault | None:
        """The model with a fault of a kind at the node number ``at``; None where there is no place for it.

        The same seed makes the same fault. Of what lies outside the model, only a tensor that is to change
        comes in.
        """
        node = self.model.graph.node[at]
        change = KINDS[kind](self, node, np.random.default_rng([seed, tuple(KINDS).index(kind), at]))
        if change is None:
            return None
        copy = ModelProto()
        copy.CopyFrom(self.model)
        change.make(copy, at)
        return Fault(kind=kind, description=change.description, at=node.output[0], model=copy)

    def opened(self, fault: Fault) -> Placed:
        """A faulty copy as a session takes it."""
        return Placed(fault.model.SerializeToString(), str(self.folder.absolute()))

    def constant(self, node: NodeProto, slot: int) -> TensorProto | None:
        """The constant that a node reads in one slot."""
        return self._constants.get(node.input[slot]) if len(node.input) > slot else None

    def data(self, tensor: TensorProto) -> Array:
        """The elements of one of its tensors."""
        return numpy_helper.to_array(tensor, base_dir=str(self.folder))


def faults(model: ModelProto, *, seed: int = 0) -> Iterator[Fault]:
    """One fault of every kind that the model offers a place for; the same seed picks the same places.

    Weights have to be in the model itself.
    """
    patient = Patient.of(model)
    for number, kind in enumerate(KINDS):
        places = np.random.default_rng([seed, number]).permutation(len(model.graph.node))
        found = (patient.broken(kind, at=int(place), seed=seed) for place in places)
        yield from itertools.islice(filter(None, found), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a fault does to a model, given the number of the node that it is at."""

    description: str
    make: Callable[[ModelProto, int], object]


def _constants(model: ModelProto) -> dict[str, TensorProto]:
    return {name: tensor for tensor, name in named_tensors(model) if name}


def _called(node: NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"


def _other_node(node: NodeProto, description: str, **fields: str) -> _Change:
    """The node with other plain fields."""
    changed = NodeProto()
    changed.CopyFrom(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return _Change(description=description, make=lambda model, at: model.graph.node[at].CopyFrom(changed))


# ---- activations ----


def _drop_activation(_patient: Patient, node: NodeProto, _draw: Draw) -> _Change | None:
    """Identity where there was a Relu."""
    if node.op_type != "Relu":
        return None
    return _other_node(node, f"Identity for {_called(node)}", op_type="Identity")


def _add_activation(patient: Patient, node: NodeProto, _draw: Draw) -> _Change | None:
    """A Relu where there was an Identity, or behind a convolution."""
    if node.op_type == "Identity":
        return _other_node(node, f"Relu for {_called(node)}", op_type="Relu")
    readers = [n.op_type for n in patient.model.graph.node if node.output[0] in n.input]
    if node.op_type not in _CONVOLUTIONS or set(readers) & set(_RECTIFIERS):
        return None
    return _Change(description=f"a Relu behind {_called(node)}", make=_insert_relu)


def _insert_relu(model: ModelProto, at: int) -> None:
    conv = model.graph.node[at]
    name = conv.output[0]
    conv.output[0] = f"{name}_before_relu"
    model.graph.node.insert(at + 1, helper.make_node("Relu", [conv.output[0]], [name]))


# ---- weights ----


def _swap_channels(patient: Patient, node: NodeProto, draw: Draw) -> _Change | None:
    """Two channels of a weight in each other's place."""

    def swapped(weight: Array) -> Array:
        first, second = draw.choice(len(weight), size=2, replace=False)
        order = np.arange(len(weight))
        order[[first, second]] = second, first
        return np.asarray(weight[order])

    return _other_weight(patient, node, swapped, what="two channels swapped")


def _scale_weight(patient: Patient, node: NodeProto, _draw: Draw) -> _Change | None:
    """Every element of a weight a thousandth larger."""
    return _other_weight(patient, node, lambda w: w * np.asarray(SCALED, w.dtype), what=f"times {SCALED}")


def _move_tap(patient: Patient, node: NodeProto, _draw: Draw) -> _Change | None:
    """A kernel moved by one tap along its last axis that is longer than one."""

    def moved(weight: Array) -> Array:
        axes = [axis for axis in range(2, weight.ndim) if weight.shape[axis] > 1]
        return np.roll(weight, 1, axis=axes[-1]) if axes else weight

    return _other_weight(patient, node, moved, what="moved by one tap")


def _drop_bias_entry(patient: Patient, node: NodeProto, _draw: Draw) -> _Change | None:
    """The largest entry of a bias zero."""

    def dropped(bias: Array) -> Array:
        changed = bias.copy()
        changed.reshape(-1)[np.argmax(np.abs(bias.astype(np.float64)))] = 0
        return changed

    return _other_weight(patient, node, dropped, what="without its largest entry", slot=_BIAS)


def _other_weight(
    patient: Patient, node: NodeProto, change: Callable[[Array], Array], *, what: str, slot: int = _WEIGHT
) -> _Change | None:
    """Another constant in the place of one that a convolution or product reads, if it is another."""
    tensor = patient.constant(node, slot) if node.op_type in _WEIGHTED else None
    if tensor is None or tensor.dims[:1] < [2]:
        return None
    data = patient.data(tensor)
    changed = np.ascontiguousarray(change(data))
    if np.array_equal(data, changed):
        return None
    name = node.input[slot]
    other = numpy_helper.from_array(changed, tensor.name)
    return _Change(
        description=f"{'bias' if slot == _BIAS else 'weight'} of {_called(node)} {what}",
        make=lambda model, _at: _constants(model)[name].CopyFrom(other),
    )


# ---- places ----


def _shift_padding(_patient: Patient, node: NodeProto, _draw: Draw) -> _Change | None:
    """One row of padding moved from the beginning of an axis to its end."""
    pads = next((list(a.ints) for a in node.attribute if a.name == "pads"), [])
    axis = next((axis for axis, begin in enumerate(pads[: len(pads) // 2]) if begin > 0), None)
    if axis is None:
        return None

    def shift(model: ModelProto, at: int) -> None:
        (own,) = (a for a in model.graph.node[at].attribute if a.name == "pads")
        own.ints[axis] -= 1
        own.ints[axis + len(pads) // 2] += 1

    return _Change(
        description=f"padding of {_called(node)} shifted by one on spatial axis {axis}", make=shift
    )


def _permute_outputs(patient: Patient, node: NodeProto, draw: Draw) -> _Change | None:
    """The result of a node and another output of the graph in each other's place, names staying."""
    outputs = [output.name for output in patient.model.graph.output]
    if len(outputs) < 2 or node.output[0] not in outputs:
        return None
    first = node.output[0]
    second = str(draw.choice([name for name in outputs if name != first]))
    renamed = {first: second, second: first}

    def permute(model: ModelProto, _at: int) -> None:
        for each in model.graph.node:
            each.output[:] = [renamed.get(name, name) for name in each.output]
            each.input[:] = [renamed.get(name, name) for name in each.input]

    return _Change(description=f"outputs {first} and {second} permuted", make=permute)


def _swap_operands(_patient: Patient, node: NodeProto, _draw: Draw) -> _Change | None:
    """The first two operands of an operation that is not commutative exchanged."""
    if node.op_type not in _ORDERED or len(set(node.input[:2])) < 2:
        return None

    def swap(model: ModelProto, at: int) -> None:
        inputs = model.graph.node[at].input
        inputs[0], inputs[1] = inputs[1], inputs[0]

    return _Change(description=f"operands of {_called(node)} exchanged", make=swap)


KINDS: Mapping[str, Callable[[Patient, NodeProto, Draw], _Change | None]] = MappingProxyType(
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
