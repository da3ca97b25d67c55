"""One ONNX node with what is known of its operands, and its attributes as fields of a typed operation."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_fields import ONNX_DOMAINS
from convgraph.importers.onnx_order import label
from convgraph.ir.ops import TYPED
from convgraph.ir.ops.base import Op
from convgraph.ir.tensor import Array, DataType, TensorType

Operand = int | Array | None


class Typed(NamedTuple):
    """A typed operation; each operand is one of the node's own by position, a new constant, or omitted."""

    op: Op
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node with what is known of its operands: all that a reader may look at."""

    proto: NodeProto
    opset: int
    types: tuple[TensorType | None, ...]
    attributes: Mapping[str, AttributeProto]

    @property
    def at(self) -> str:
        """How messages name the node."""
        return label(self.proto)

    @property
    def slots(self) -> tuple[Operand, ...]:
        """The node's own operands."""
        return tuple([None if kind is None else slot for slot, kind in enumerate(self.types)])

    def operand(self, slot: int) -> TensorType | None:
        """The type of an operand; None when it is omitted."""
        return self.types[slot] if slot < len(self.types) else None

    def has(self, name: str) -> bool:
        """Whether the node states an attribute."""
        return name in self.attributes

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute's value as Python has it (ints and floats as tuples).

        Raises InvalidModel for one of another kind than ONNX has it.
        """
        if name not in self.attributes:
            return default
        self._check_kind(name)
        return attribute_value(self.attributes[name])

    def typed(
        self, *, done: Sequence[str] = (), operands: Sequence[Operand] | None = None, **given: Any
    ) -> Typed | None:
        """The node's class with its attributes as fields; None when an attribute is not understood.

        ``given`` are fields already worked out, ``done`` attributes already dealt with. Raises InvalidModel
        for an illegal or missing attribute.
        """
        cls = TYPED[given.pop("as_type", self.proto.op_type)]
        hints = _hints(cls.__name__)
        for name in self.attributes:
            if name in given or name in done or self._is_default(name, hints):
                continue
            if name not in hints:
                return None
            given[name] = self._field(cls, name, hint=hints[name])
        missing = [name for name in _required(cls.__name__) if name not in given]
        if missing:
            raise InvalidModel(self.at, found=f"no {missing[0]}", expected=f"attribute {missing[0]}")
        slots = self.slots if operands is None else tuple(operands)
        return Typed(self.build(cls, **given), slots)

    def build(self, cls: type[Op], **given: Any) -> Op:
        """An operation of a class. Raises InvalidModel, naming the node, when an attribute is illegal."""
        try:
            return cls(**given)
        except InvalidModel as error:
            raise InvalidModel(self.at, found=error.found, expected=error.expected) from error

    def _is_default(self, name: str, hints: Mapping[str, Any]) -> bool:
        """Whether an attribute the class has no field for says only what is so without it."""
        if name in hints:
            return False
        declared = _declared(self.proto.op_type, self.opset).get(name)
        if declared is None or declared.default is None:
            return False
        return bool(declared.default == self.get(name))

    def _field(self, cls: type[Op], name: str, *, hint: Any) -> Any:
        value = self.get(name)
        if hint is DataType:
            if value not in DataType.__members__.values() or value == DataType.UNDEFINED:
                raise InvalidModel(self.at, found=f"{name}={value}", expected="an element type ONNX has")
            return DataType(value)
        return _canonical(value, default=_defaults(cls.__name__).get(name))

    def _check_kind(self, name: str) -> None:
        declared = _declared(self.proto.op_type, self.opset).get(name)
        if declared is not None and self.attributes[name].type != declared.type:
            kind = AttributeProto.AttributeType.Name(self.attributes[name].type)
            wanted = AttributeProto.AttributeType.Name(declared.type)
            raise InvalidModel(self.at, found=f"attribute {name} of kind {kind}", expected=f"kind {wanted}")


def attribute_value(attribute: AttributeProto) -> Any:
    """An attribute's value: int, float, str (bytes when not text), tuple of those, or a message."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS, AttributeProto.STRINGS):
        return tuple(value)
    return value


def _canonical(value: Any, *, default: Any) -> Any:
    """The class's own default for a number that a file can only state in single precision."""
    if isinstance(value, float) and isinstance(default, float) and np.float32(default) == np.float32(value):
        return default
    return value


@cache
def _hints(name: str) -> Mapping[str, Any]:
    cls = TYPED[name]
    known = get_type_hints(cls)
    return {f.name: known[f.name] for f in fields(cls) if f.name != "activation"}


@cache
def _required(name: str) -> tuple[str, ...]:
    own = fields(TYPED[name])
    return tuple(f.name for f in own if f.default is MISSING and f.default_factory is MISSING)


@cache
def _defaults(name: str) -> Mapping[str, Any]:
    return {f.name: f.default for f in fields(TYPED[name]) if f.default is not MISSING}


class _Attribute(NamedTuple):
    """What ONNX says of an attribute: its kind, and its value where none is stated."""

    type: int
    default: Any


@cache
def _declared(op_type: str, opset: int) -> Mapping[str, _Attribute]:
    """The attributes of an operator in an opset: asked of onnx once, as it makes them anew each time."""
    found = schema(op_type, opset)
    return {
        name: _Attribute(
            type=AttributeProto.AttributeType.Value(str(attribute.type).removeprefix("AttrType.")),
            default=attribute_value(attribute.default_value) if attribute.default_value.type else None,
        )
        for name, attribute in (() if found is None else found.attributes.items())
    }


@cache
def schema(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """ONNX's declaration of an operator in an opset; None when it is not there (yet or any more)."""
    try:
        found = onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    return None if found.deprecated else found


def check_counts(node: NodeProto, *, opset: int) -> None:
    """Raise InvalidModel for an operator of ONNX with fewer or more operands or results than it can have."""
    declared = schema(node.op_type, opset) if node.domain in ONNX_DOMAINS else None
    if declared is None:
        return
    bounds = (
        ("operands", node.input, declared.min_input, declared.max_input),
        ("results", node.output, declared.min_output, declared.max_output),
    )
    for what, names, least, most in bounds:
        if not least <= len(names) or any(names[most:]):
            found = f"{len(names)} {what}"
            raise InvalidModel(label(node), found=found, expected=f"{least} to {most}")
