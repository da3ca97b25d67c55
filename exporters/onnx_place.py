"""One ONNX node in the making: its operands, its place in a graph and opset, its attributes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, ValueInfoProto

from convgraph.errors import UnsupportedOp
from convgraph.exporters.onnx_types import value_proto
from convgraph.ir.graph import Graph, NodeInfo, ValueInfo
from convgraph.ir.ops.base import Op
from convgraph.ir.tensor import Array, DataType, Tensor, TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """An operand as a node reads it: its name ("" when omitted), its type, and its data when constant."""

    name: str = ""
    type: TensorType | None = None
    tensor: Tensor | None = None
    slot: int | None = None


NOTHING = Ref()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Names that nothing new may have: those given out for a graph, and all that it sees ``around`` it."""

    around: "tuple[Graph, Taken] | None" = None
    given: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        if name in self.given:
            return True
        if self.around is None:
            return False
        graph, further = self.around
        return graph.has_value(name) or name in further

    def add(self, name: str) -> None:
        """Give a name out."""
        self.given.add(name)


@dataclass(slots=True, kw_only=True)
class Place:
    """Where nodes are written: the message, the opset, the node they stand for, and what that brings along.

    ``constants`` are those of all nodes of the graph so far; ``absorbed`` are the operands that what is
    written does not read; ``another`` is the name of what is written in place of the node's result, where
    that is another value.
    """

    graph: Graph
    node: int
    opset: int
    taken: Taken
    into: GraphProto
    absorbed: set[int] = field(default_factory=set)
    constants: list[tuple[str, Tensor]] = field(default_factory=list)
    between: list[ValueInfoProto] = field(default_factory=list)
    another: str = ""
    _joints: int = field(default=0, init=False)

    @property
    def at(self) -> str:
        """How messages name the node."""
        return self.graph.describe(self.node)

    def fresh(self, stem: str) -> str:
        """A name not taken by the graph or by what was written so far; the same on every export."""
        name, number = stem, 0
        while name in self.taken or self.graph.has_name(name):
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def _is_free(self, name: str) -> bool:
        """Whether a value that had this name can have it again."""
        return bool(name) and name not in self.taken and not self.graph.has_value(name)

    @property
    def was_two(self) -> bool:
        """Whether the operation to write next was made of two, so that a value between them had a name."""
        return self._between() is not None

    def _between(self) -> ValueInfo | None:
        node: NodeInfo | None = self.graph.info(self.node)
        for _ in range(self._joints):
            node = None if node is None else node.fused
        return None if node is None else node.between

    def name_between(self, stem: str) -> str:
        """The name of the value between an operation and the one fused into it: the old one, else fresh.

        Asked again it is the value between that one and the one fused into it in its turn.
        """
        info = self._between()
        self._joints += 1
        name = info.name if info is not None and self._is_free(info.name) else self.fresh(stem)
        self.taken.add(name)
        if info is not None and (info.recorded or info.doc or info.metadata):
            self.between.append(value_proto(info, name=name))
        return name

    def constant(self, array: Array, *, stem: str, shared: bool = False) -> Ref:
        """A constant that only the written form needs; ``shared`` with other nodes that need the same."""
        tensor = Tensor(array)
        same = (name for name, other in self.constants if shared and other.digest() == tensor.digest())
        name = next(same, "")
        if not name:
            name = self.fresh(stem)
            self.constants.append((name, tensor))
        return Ref(name=name, type=tensor.type, tensor=tensor)

    def absorb(self, operand: Ref, role: str) -> Array:
        """The elements of an operand that this opset wants in an attribute; UnsupportedOp when computed."""
        if operand.tensor is None:
            raise self.refusal(f"{role} that is not constant")
        if operand.slot is not None:
            self.absorbed.add(operand.slot)
        return operand.tensor.numpy()

    def refusal(self, found: str, *, expected: str = "a newer opset") -> UnsupportedOp:
        """The error of an operation that the opset cannot say."""
        return UnsupportedOp(self.at, found=f"{found} in opset {self.opset}", expected=expected)


def node_proto(
    place: Place, op_type: str, operands: Sequence[Ref], results: Sequence[str], attributes: Mapping[str, Any]
) -> NodeProto:
    """The next node, its attributes in alphabetical order; omitted operands at the end are left out."""
    names = [operand.name for operand in operands]
    while names and not names[-1]:
        names.pop()
    proto = place.into.node.add(op_type=op_type, input=names, output=results)
    for name, value in sorted(attributes.items()):
        if isinstance(value, int):
            proto.attribute.add(name=name, type=AttributeProto.INT, i=value)
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, int) for item in value):
            proto.attribute.add(name=name, type=AttributeProto.INTS, ints=value)
        else:
            proto.attribute.append(onnx.helper.make_attribute(name, value))
    return proto


@cache
def schema(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """ONNX's declaration of an operator in an opset; None when it is not there (yet or any more)."""
    try:
        found = onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    return None if found.deprecated else found


class _Attribute(NamedTuple):
    """What ONNX says of an attribute: its kind, and its value where none is stated, None if one has to be."""

    type: onnx.defs.OpSchema.AttrType
    default: Any


@cache
def _declared(op_type: str, opset: int) -> Mapping[str, _Attribute] | None:
    """The attributes of an operator in an opset: asked of onnx once, as it makes them anew each time."""
    found = schema(op_type, opset)
    if found is None:
        return None
    return {name: _Attribute(a.type, _default(a)) for name, a in found.attributes.items()}


def _default(attribute: onnx.defs.OpSchema.Attribute) -> Any:
    if attribute.required or not attribute.default_value.type:
        return None
    stated = onnx.helper.get_attribute_value(attribute.default_value)
    return stated.decode() if isinstance(stated, bytes) else stated


def attributes_of(
    place: Place,
    op: Op,
    *,
    op_type: str = "",
    without: Sequence[str] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The fields of an operation that its opset's form states, defaults left out.

    ``without`` are fields written some other way, ``given`` attributes that are no fields. Raises
    UnsupportedOp for a field away from its default that the opset has no attribute for.
    """
    declared = _declared(op_type or op.label, place.opset)
    if declared is None:
        newest = onnx.defs.get_schema(op.label, onnx.defs.onnx_opset_version(), "")
        raise place.refusal(op.label, expected=f"opset {newest.since_version} or newer")
    values = {k: v for k, v in op.attributes().items() if k != "activation" and k not in without}
    values.update(given)
    written = {}
    for name, value in values.items():
        attribute = declared.get(name)
        if attribute is None:
            if name in given or value != _own_default(op, name):
                raise place.refusal(f"{op.label} with {name}={value}")
        elif value is not None and value != () and not _is_default(attribute, value):
            written[name] = _stated(attribute, value)
    return written


def _own_default(op: Op, name: str) -> Any:
    return next((f.default for f in fields(op) if f.name == name and f.default is not MISSING), None)


def _stated(attribute: _Attribute, value: Any) -> Any:
    """A field as ``make_attribute`` takes it: it would make an integer attribute of the float 1."""
    if isinstance(value, DataType):
        return int(value)
    return float(value) if attribute.type == onnx.defs.OpSchema.AttrType.FLOAT else value


def _is_default(attribute: _Attribute, value: Any) -> bool:
    if isinstance(attribute.default, float):
        return bool(np.float32(attribute.default) == np.float32(value))
    return attribute.default is not None and bool(attribute.default == value)


def plain(
    place: Place,
    op: Op,
    operands: Sequence[Ref],
    results: Sequence[str],
    *,
    op_type: str = "",
    without: Sequence[str] = (),
    given: Mapping[str, Any] = MappingProxyType({}),
) -> list[NodeProto]:
    """One node, attributes as ``attributes_of`` says. Raises UnsupportedOp for operands the opset lacks."""
    attributes = attributes_of(place, op, op_type=op_type, without=without, given=given)
    declared = schema(op_type or op.label, place.opset)
    node = node_proto(place, op_type or op.label, operands, results, attributes)
    if declared is not None and len(node.input) > declared.max_input:
        raise place.refusal(f"{op.label} with {len(node.input)} operands")
    return [node]


Writer = Callable[[Place, Any, Sequence[Ref], Sequence[str]], list[NodeProto]]
