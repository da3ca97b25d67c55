"""Parts of ONNX messages: metadata, what a Constant node states, and the fields the IR has no place for."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

import onnx
from google.protobuf.message import Message
from onnx import GraphProto, NodeProto, StringStringEntryProto, TensorProto

from convgraph.errors import InvalidModel
from convgraph.ir.header import Header, no_strings

ONNX_DOMAINS = ("", "ai.onnx")  # two spellings of one
_OF_A_NODE = frozenset(
    ("input", "output", "name", "op_type", "domain", "overload", "attribute", "doc_string", "metadata_props")
)
_FURTHER = tuple(field.name for field in NodeProto.DESCRIPTOR.fields if field.name not in _OF_A_NODE)
AnyMessage = TypeVar("AnyMessage", bound=Message)


def constant_of(node: NodeProto) -> TensorProto | None:
    """The tensor of a Constant node, whichever attribute states it; None for any other node."""
    plain = node.domain in ONNX_DOMAINS and node.op_type == "Constant" and len(node.attribute) == 1
    if not plain or leftover(node) or node.attribute[0].ref_attr_name:
        return None
    attribute = node.attribute[0]
    if attribute.name == "value":
        return attribute.t
    kinds = {
        "value_float": TensorProto.FLOAT,
        "value_floats": TensorProto.FLOAT,
        "value_int": TensorProto.INT64,
        "value_ints": TensorProto.INT64,
        "value_string": TensorProto.STRING,
        "value_strings": TensorProto.STRING,
    }
    if attribute.name not in kinds:
        return None
    value = onnx.helper.get_attribute_value(attribute)
    listed = attribute.name.endswith("s")
    elements = list(value) if listed else [value]
    return onnx.helper.make_tensor("", kinds[attribute.name], [len(elements)] if listed else [], elements)


def leftover(node: NodeProto) -> bytes:
    """The fields of a node that the IR has no place for, serialised; empty when there are none."""
    if not any(getattr(node, name) for name in _FURTHER):
        return b""
    return without(node, _OF_A_NODE).SerializeToString(deterministic=True)


def without(message: AnyMessage, known: Iterable[str]) -> AnyMessage:
    """A copy of a message that leaves out some fields, which are never copied."""
    rest = type(message)()
    names = set(known)
    for descriptor, value in message.ListFields():
        if descriptor.name in names:
            continue
        if descriptor.is_repeated:
            getattr(rest, descriptor.name).extend(value)
        elif descriptor.message_type is not None:
            getattr(rest, descriptor.name).CopyFrom(value)
        else:
            setattr(rest, descriptor.name, value)
    return rest


def strings(entries: Iterable[StringStringEntryProto]) -> Mapping[str, str]:
    """Metadata as a read-only mapping."""
    return MappingProxyType({entry.key: entry.value for entry in entries}) if entries else no_strings()


def header_of(proto: GraphProto) -> Header:
    """Name, notes and further fields of a graph."""
    known = {"node", "name", "initializer", "doc_string", "input", "output", "value_info", "metadata_props"}
    rest = without(proto, known | {"sparse_initializer"})
    inputs = {value.name for value in proto.input}
    rest.sparse_initializer.extend(s for s in proto.sparse_initializer if s.values.name in inputs)
    return Header(
        name=proto.name,
        doc=proto.doc_string,
        metadata=strings(proto.metadata_props),
        carried=rest.SerializeToString(deterministic=True),
    )


def check_text(message: Message) -> None:
    """Raise InvalidModel unless every string in a message is text.

    Protobuf hands out a string of bytes that are no UTF-8 as those bytes.
    """
    for descriptor, value in message.ListFields():
        items = value if descriptor.is_repeated else (value,)
        if descriptor.type == descriptor.TYPE_MESSAGE:
            for inner in items:
                check_text(inner)
        elif descriptor.type == descriptor.TYPE_STRING:
            _check_strings(items, name=descriptor.name)


def _check_strings(items: Iterable[object], *, name: str) -> None:
    for text in items:
        if not isinstance(text, str):
            raise InvalidModel("model", found=f"bytes {text!r} as {name}", expected="UTF-8 text")
