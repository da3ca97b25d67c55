"""A GraphProto as a Graph: names resolved, nodes sorted, types inferred, bodies of control flow nested."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto

from convgraph.errors import InvalidModel
from convgraph.importers.onnx_fields import ONNX_DOMAINS, constant_of, header_of, leftover, strings
from convgraph.importers.onnx_nodes import explicit_padding, typed, without_unread_mask
from convgraph.importers.onnx_order import captures, inner_names, label, read_names, sorted_nodes
from convgraph.importers.onnx_tensors import embedded, read_tensor
from convgraph.importers.onnx_types import Inferred, denotations, infer_node, is_dense, tensor_type
from convgraph.importers.onnx_view import NodeView, Typed, check_counts
from convgraph.ir.graph import Graph, Header, NodeInfo, Value, ValueInfo
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.layout import Split
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import UNKNOWN, Tensor, TensorType

_SMALL = 64  # elements: what ONNX's rule for one node may want to see
_LARGEST = (1 << 63) - 1
LEFTOVER = ""
"""Key in ``Opaque.encoded`` (no attribute's name is empty) of a NodeProto holding a node's further fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What holds for every graph of one model; ``body``: for those inside control flow."""

    opset: int
    base_dir: Path | None = None
    freeze_defaults: bool = False
    body: bool = False
    functions: frozenset[tuple[str, str]] = field(default_factory=frozenset)


def read_graph(
    proto: GraphProto,
    *,
    setting: Setting,
    header: Header,
    inferred: Inferred,
    outer: Mapping[str, ValueInfo] = MappingProxyType({}),
    nodes: Sequence[tuple[int, NodeProto]] | None = None,
) -> Graph:
    """The Graph of a GraphProto; ``outer`` holds the values a body may capture from around it.

    ``nodes`` are those of ``sorted_nodes``, where the caller has them. Raises InvalidModel, naming the value
    or node, for a graph that breaks ONNX's rules.
    """
    reader = _GraphReader(proto, setting=setting, header=header, inferred=inferred, outer=outer)
    return reader.read(sorted_nodes(proto, outer=frozenset(outer)) if nodes is None else nodes)


class _GraphReader:
    def __init__(
        self,
        proto: GraphProto,
        *,
        setting: Setting,
        header: Header,
        inferred: Inferred,
        outer: Mapping[str, ValueInfo],
    ) -> None:
        self.proto, self.setting, self.inferred, self.outer = proto, setting, inferred, outer
        self.graph = Graph(header)
        self.values: dict[str, Value] = {}
        self.captured: list[Value] = []
        self.stated: dict[str, ValueInfoProto] = {v.name: v for v in proto.value_info}
        self.stated.update((v.name, v) for v in proto.output)
        self.outputs = frozenset(v.name for v in proto.output)

    @cached_property
    def read_names(self) -> frozenset[str]:
        return self.outputs.union(*(read_names(node) for node in self.proto.node))

    @cached_property
    def made(self) -> frozenset[str]:
        return frozenset(name for node in self.proto.node for name in node.output)

    def read(self, nodes: Iterable[tuple[int, NodeProto]]) -> Graph:
        self._add_inputs()
        self._add_constants()
        first = len(self.proto.input) + len(self.proto.initializer)
        for place, node in nodes:
            self._add_node(node, place=first + place)
        self.graph.outputs = tuple(self._value(v.name) for v in self.proto.output)
        self.graph.captures = tuple(self.captured)
        return self.graph

    # ---- sources ----

    def _add_inputs(self) -> None:
        overridable = () if self.setting.freeze_defaults else self.proto.initializer
        defaults = {t.name: (place, t) for place, t in enumerate(overridable)}
        frozen = {t.name for t in self.proto.initializer} - set(defaults)
        for place, proto in enumerate(self.proto.input):
            if proto.name in frozen:
                self.stated.setdefault(proto.name, proto)
                continue
            node, default = NodeInfo(order=(place,)), None
            if proto.name in defaults:
                index, tensor = defaults[proto.name]
                default, order = self._tensor(tensor), (len(self.proto.input) + index,)
                node = NodeInfo(order=order, doc=tensor.doc_string, metadata=strings(tensor.metadata_props))
            info = self._stated_info(proto)
            value = self._insert(Input(default=default), (), infos=[info], node=node)[0]
            self.graph.inputs = (*self.graph.inputs, value)

    def _add_constants(self) -> None:
        inputs = {self.graph.value_name(value) for value in self.graph.inputs}
        for index, proto in enumerate(self.proto.initializer):
            if proto.name not in inputs:
                order = (len(self.proto.input) + index,)
                self._add_constant(proto, name=proto.name, node=NodeInfo(order=order))
        for sparse in self.proto.sparse_initializer:
            if sparse.values.name not in inputs:
                node = onnx.helper.make_node("Constant", [], [sparse.values.name])
                node.attribute.append(onnx.helper.make_attribute("sparse_value", sparse))
                self._add_opaque(node, operands=[], info=NodeInfo())

    def _add_constant(self, proto: TensorProto, *, name: str, node: NodeInfo) -> None:
        tensor = self._tensor(proto, name=name)
        info = ValueInfo(name=name, type=tensor.type)
        if name in self.stated:
            recorded = name not in self.outputs
            info = replace(self._stated_info(self.stated[name]), type=tensor.type, recorded=recorded)
        if proto.doc_string or proto.metadata_props or node.doc or node.metadata:
            node = replace(node, doc=proto.doc_string, metadata=strings(proto.metadata_props))
        self._insert(Constant(tensor=tensor), (), infos=[info], node=node)

    def _tensor(self, proto: TensorProto, *, name: str = "") -> Tensor:
        return read_tensor(proto, base_dir=self.setting.base_dir, name=name)

    def _stated_info(self, proto: ValueInfoProto) -> ValueInfo:
        return ValueInfo(
            name=proto.name,
            type=tensor_type(proto.type, at=proto.name),
            doc=proto.doc_string,
            metadata=strings(proto.metadata_props),
            recorded=True,
            foreign=None if is_dense(proto.type) else proto.type.SerializeToString(deterministic=True),
            denotations=denotations(proto.type),
        )

    # ---- nodes ----

    def _add_node(self, node: NodeProto, *, place: int) -> None:
        info = NodeInfo(
            name=node.name, doc=node.doc_string, metadata=strings(node.metadata_props), order=(place,)
        )
        if tensor := constant_of(node):
            self._add_constant(tensor, name=node.output[0], node=info)
            return
        operands = [self._value(name, reader=node) if name else None for name in node.input]
        node = without_unread_mask(
            node, opset=self.setting.opset, is_read=lambda name: name in self.read_names
        )
        if not self._add_typed(node, operands=operands, info=info):
            self._add_opaque(node, operands=operands, info=info)

    def _add_typed(self, node: NodeProto, *, operands: Sequence[Value | None], info: NodeInfo) -> bool:
        """Add a node as a typed operation; False, adding nothing, when it has to stay opaque."""
        found = self._typed(node, operands)
        if found is None:
            return False
        constants = {slot: Tensor(o) for slot, o in enumerate(found.operands) if isinstance(o, np.ndarray)}
        last = len(operands)
        slots = [operands[o] if isinstance(o, int) and o < last else None for o in found.operands]
        types = [None if value is None else self.graph.type(value) for value in slots]
        for slot, tensor in constants.items():
            types[slot] = tensor.type
        op, names = explicit_padding(found.op, types), tuple(node.output)
        inferred = self._inferred(node, op, types)
        if inferred is None or any(names[len(inferred) :]):
            return False
        for slot, tensor in constants.items():
            stem = next(filter(None, names), node.op_type)
            slots[slot] = self._extra_constant(tensor, stem=f"{stem}_operand{slot}", info=info)
        self._insert_results(op, slots, names=names, inferred=inferred, info=info)
        return True

    def _typed(self, node: NodeProto, operands: Sequence[Value | None]) -> Typed | None:
        plain = node.domain in ONNX_DOMAINS and not node.overload and not leftover(node)
        if not plain or (node.domain, node.op_type) in self.setting.functions:
            return None
        infos = [None if v is None else self.graph.value_info(v) for v in operands]
        if any(info is not None and info.foreign for info in infos):
            return None
        view = NodeView(
            proto=node,
            opset=self.setting.opset,
            types=tuple([None if info is None else info.type for info in infos]),
            attributes={a.name: a for a in node.attribute},
        )
        return typed(view)

    def _inferred(
        self, node: NodeProto, op: Op, types: Sequence[TensorType | None]
    ) -> tuple[TensorType, ...] | None:
        """The types of the results; None where operands are illegal in a body that may never run."""
        while types and types[-1] is None:
            types = types[:-1]
        try:
            inferred = op.infer_all(tuple(types))
            _check_sizes(inferred)
            return self._pieces(node, inferred, data=types[0]) if isinstance(op, Split) else inferred
        except InvalidModel as error:
            if self.setting.body:
                return None
            raise InvalidModel(label(node), found=error.found, expected=error.expected) from error

    def _pieces(
        self, node: NodeProto, inferred: tuple[TensorType, ...], *, data: TensorType | None
    ) -> tuple[TensorType, ...]:
        """As many results as the node names: not even their number may be known to ``infer``."""
        count = len(node.output)
        if inferred and len(inferred) != count:
            raise InvalidModel(label(node), found=f"{count} results", expected=f"{len(inferred)} pieces")
        return inferred or (UNKNOWN if data is None else data.with_shape(None),) * count

    def _extra_constant(self, tensor: Tensor, *, stem: str, info: NodeInfo) -> Value:
        name = self.graph.fresh_name(stem)
        while name in self.made:
            name = self.graph.fresh_name(stem)
        infos = [ValueInfo(name=name, type=tensor.type)]
        return self.graph.insert(Constant(tensor=tensor), (), results=infos, info=NodeInfo(order=info.order))[
            0
        ]

    def _add_opaque(self, node: NodeProto, *, operands: Sequence[Value | None], info: NodeInfo) -> None:
        if (node.domain, node.op_type) not in self.setting.functions:
            check_counts(node, opset=self.setting.opset)
        bodies, captured = self._bodies(node)
        op = Opaque(
            domain="" if node.domain in ONNX_DOMAINS else node.domain,
            op_type=node.op_type,
            overload=node.overload,
            encoded=MappingProxyType(self._encoded(node)),
            subgraphs=MappingProxyType(bodies),
            arity=len(node.input),
        )
        slots = [*operands, *captured]
        inferred = op.infer() or self._by_rule(node, operands)
        self._insert_results(op, slots, names=tuple(node.output), inferred=inferred, info=info)

    def _encoded(self, node: NodeProto) -> dict[str, bytes]:
        encoded = {}
        for attribute in node.attribute:
            if not attribute.name:
                raise InvalidModel(label(node), found="an attribute without a name", expected="a name")
            if attribute.type == AttributeProto.GRAPH:
                continue
            if any(captures(body) for body in attribute.graphs):
                raise InvalidModel(
                    label(node), found=f"captures in the list {attribute.name}", expected="none"
                )
            whole = embedded(attribute, base_dir=self.setting.base_dir, at=attribute.name)
            encoded[attribute.name] = whole.SerializeToString(deterministic=True)
        if rest := leftover(node):
            encoded[LEFTOVER] = rest
        return encoded

    def _bodies(self, node: NodeProto) -> tuple[dict[str, Graph], list[Value]]:
        bodies: dict[str, Graph] = {}
        operands: list[Value] = []
        for attribute in node.attribute:
            if attribute.type != AttributeProto.GRAPH:
                continue
            captured = [self._value(name, reader=node) for name in captures(attribute.g)]
            body = read_graph(
                attribute.g,
                setting=replace(self.setting, freeze_defaults=False, body=True),
                header=header_of(attribute.g),
                inferred=self.inferred.body(node, attribute.name),
                outer={self.graph.value_name(v): self.graph.value_info(v) for v in captured},
            )
            bodies[attribute.name] = body
            operands += [self.values[body.value_name(value)] for value in body.captures]
            self.graph.reserve(inner_names(attribute.g))
        return bodies, operands

    # ---- values and types ----

    def _value(self, name: str, *, reader: NodeProto | None = None) -> Value:
        """The value with a name, captured from around the graph when it is not the graph's own."""
        if name not in self.values:
            if name not in self.outer:
                at = "the graph's outputs" if reader is None else label(reader)
                found = f"missing input {name!r}"
                raise InvalidModel(at, found=found, expected="a value that is made somewhere")
            info = replace(self.outer[name], recorded=False, doc="", metadata=MappingProxyType({}))
            place = NodeInfo(order=(-1, len(self.captured)))
            self.captured += self._insert(Input(), (), infos=[info], node=place)
        return self.values[name]

    def _insert(
        self, op: Op, operands: Sequence[Value | None], *, infos: Sequence[ValueInfo], node: NodeInfo
    ) -> tuple[Value, ...]:
        results = self.graph.insert(op, operands, results=infos, info=node)
        for info, value in zip(infos, results, strict=True):
            if info.name:
                self.values[info.name] = value
        return results

    def _insert_results(
        self,
        op: Op,
        operands: Sequence[Value | None],
        *,
        names: Sequence[str],
        inferred: Sequence[TensorType],
        info: NodeInfo,
    ) -> None:
        own = [*inferred, *(UNKNOWN,) * (len(names) - len(inferred))]
        infos = [self._result(name, own=t) for name, t in zip(names, own, strict=False)]
        self._insert(op, operands, infos=infos, node=info)

    def _result(self, name: str, *, own: TensorType) -> ValueInfo:
        """What is known of a result: by our own inference first, then as stated, then by ONNX's inference."""
        stated = self.stated.get(name)
        found = None if _is_complete(own) else self.inferred.types.get(name)
        if stated is None and found is None:
            return ValueInfo(name=name, type=own)
        info = ValueInfo(name=name) if stated is None else self._stated_info(stated)
        if found is not None and not is_dense(found) and info.foreign is None:
            info = replace(info, foreign=found.SerializeToString(deterministic=True))
        if info.foreign is not None or not name:
            return replace(info, type=UNKNOWN if info.foreign else own)
        known = self._merged(name, own=own, stated=info.type)
        if found is not None:
            other = tensor_type(found, at=name)
            known = known.refined(other) if known.admits(other) else known
        return replace(info, type=known)

    def _merged(self, name: str, *, own: TensorType, stated: TensorType) -> TensorType:
        if UNKNOWN.dtype not in (own.dtype, stated.dtype) and own.dtype is not stated.dtype:
            raise InvalidModel(name, found=f"stated type {stated}", expected=f"type {own}")
        if not stated.admits(own):
            return own
        return replace(stated.refined(own), known=own.known) if name in self.outputs else own.refined(stated)

    def _by_rule(self, node: NodeProto, operands: Sequence[Value | None]) -> tuple[TensorType, ...]:
        """The types of an opaque node's results, by ONNX's rule for its operator on what we know."""
        given = [
            (name, self.graph.type(v)) for name, v in zip(node.input, operands, strict=False) if v is not None
        ]
        if node.domain not in ONNX_DOMAINS or any(type_.dtype is UNKNOWN.dtype for _, type_ in given):
            return ()
        tensors = {name: self.graph.constant(v) for name, v in zip(node.input, operands, strict=False)}
        known = {
            name: onnx.numpy_helper.from_array(tensor.numpy(), name)
            for name, tensor in tensors.items()
            if tensor is not None and tensor.size <= _SMALL
        }
        found = infer_node(node, given, known=known, opset=self.setting.opset)
        return tuple(tensor_type(found[n], at=n) if n in found else UNKNOWN for n in node.output)


def _check_sizes(types: Sequence[TensorType]) -> None:
    """Raise InvalidModel for a size that ONNX has no number for."""
    for type_ in types:
        for size in type_.shape or ():
            if isinstance(size, int) and size > _LARGEST:
                raise InvalidModel("result", found=f"a size of {size}", expected=f"at most {_LARGEST}")


def _is_complete(kind: TensorType) -> bool:
    """Whether nothing is left to be found out about a type."""
    return kind.static_shape is not None and kind.dtype is not UNKNOWN.dtype
