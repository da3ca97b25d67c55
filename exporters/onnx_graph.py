"""A Graph as a GraphProto: constants as initializers, control flow with its bodies, nodes in graph order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from onnx import AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto

from convgraph.exporters.onnx_nodes import write
from convgraph.exporters.onnx_place import NOTHING, Place, Ref, Taken
from convgraph.exporters.onnx_types import tensor_proto, value_proto
from convgraph.ir.graph import Graph, NodeInfo, Value
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import Tensor

_SPARSE_INITIALIZERS = 5  # the first version of the file format that has them

Store = Callable[[Tensor, str], TensorProto]
"""Makes the message of a tensor of a given name; where its data goes is the store's business."""


def inline(tensor: Tensor, name: str) -> TensorProto:
    """The store that keeps the data in the message."""
    return tensor_proto(tensor, name=name)


def write_graph(
    graph: Graph,
    *,
    opset: int,
    store: Store = inline,
    around: Mapping[Value, str] = MappingProxyType({}),
    outside: tuple[Graph, Taken] | None = None,
    into: GraphProto | None = None,
) -> GraphProto:
    """The GraphProto of a graph or body; ``around`` names what a body captures.

    ``outside`` is the graph around it and the names given out there: new ones must not hide them. ``into`` is
    an empty message to fill, which saves copying the weights into it. Raises UnsupportedOp for an operation
    that the opset cannot say.
    """
    proto = GraphProto() if into is None else into
    _GraphWriter(graph, opset=opset, store=store, around=around, proto=proto, outside=outside).write()
    return proto


class _GraphWriter:
    def __init__(
        self,
        graph: Graph,
        *,
        opset: int,
        store: Store,
        around: Mapping[Value, str],
        proto: GraphProto,
        outside: tuple[Graph, Taken] | None,
    ) -> None:
        self.graph, self.opset, self.store = graph, opset, store
        self.proto = proto
        self.absorbed: set[tuple[int, int]] = set()
        self.taken = Taken(around=outside)
        self.named: dict[Value, str] = dict(around)
        self.given_names = {graph.info(node).name for node in graph.nodes()}
        self.node_names: set[str] = set()
        self.between: dict[int, list[ValueInfoProto]] = {}
        self.constants: list[tuple[str, Tensor]] = []

    def write(self) -> None:
        self.proto.name = self.graph.name
        self.proto.MergeFromString(self.graph.header.carried)
        for node in self.graph.compute_nodes():
            if (sparse := _sparse_constant(self.graph, node)) is None:
                self._write_node(node)
            else:
                sparse.values.name = self._name(Value(node, 0))
                self.proto.sparse_initializer.append(sparse)
        for value in self.graph.inputs:
            self.proto.input.append(value_proto(self.graph.value_info(value), name=self._name(value)))
        for value in self.graph.outputs:
            self.proto.output.append(value_proto(self.graph.value_info(value), name=self._name(value)))
        self._write_tensors()
        self._write_types()
        if self.graph.header.doc:
            self.proto.doc_string = self.graph.header.doc
        for key, text in self.graph.header.metadata.items():
            self.proto.metadata_props.add(key=key, value=text)

    def _name(self, value: Value) -> str:
        return self.named.get(value) or self.graph.value_name(value) or self._unnamed(value)

    def _unnamed(self, value: Value) -> str:
        """A name for a result that an edit left without one although it is read; "" when nobody reads it."""
        if value not in self.named:
            uses = self.graph.readers(value)
            readers = [self.graph.value_name(Value(use.node, 0)) for use in uses]
            operation = self.graph.op(value.node).label.lower()
            stem = next((f"{name}_{operation}" for name in readers if name), operation)
            self.named[value] = self._place(value.node).fresh(stem) if uses else ""
        return self.named[value]

    # ---- nodes ----

    def _place(self, node: int) -> Place:
        return Place(
            graph=self.graph,
            node=node,
            opset=self.opset,
            taken=self.taken,
            into=self.proto,
            constants=self.constants,
        )

    def _write_node(self, node: int) -> None:
        op, info = self.graph.op(node), self.graph.info(node)
        results = [self._name(value) for value in self.graph.results(node)]
        if isinstance(op, Opaque):
            protos = [self._opaque(node, op, results)]
        else:
            protos = self._typed(node, op, results)
        own = next((index for index, proto in enumerate(protos) if proto.op_type == op.label), None)
        if own is None:
            self._annotate(protos, info)
        else:
            self._annotate(protos[: own + 1], info if info.fused is None else replace(info, fused=None))
            if later := protos[own + 1 :]:
                self._annotate(later, info.fused or _second(info, later[-1].op_type))

    def _typed(self, node: int, op: Op, results: Sequence[str]) -> list[NodeProto]:
        place = self._place(node)
        protos = write(place, op, self._operands(node), results)
        if place.absorbed:
            self.absorbed.update((node, slot) for slot in place.absorbed)
        if place.between:
            self.between[node] = place.between
        if place.another:
            self.named[Value(node, 0)] = place.another
        return protos

    def _annotate(self, protos: list[NodeProto], info: NodeInfo) -> None:
        """Give the last of some nodes its name and notes, those that lead up to it names derived from it.

        Where another operation was fused into the one they spell, the last is that one's.
        """
        if info.fused is not None and len(protos) > 1:
            self._annotate(protos[:-1], replace(info, fused=None))
            protos, info = protos[-1:], info.fused
        for proto in protos[:-1]:
            if info.name:
                proto.name = self._node_name(f"{info.name}_{proto.op_type.lower()}", derived=True)
        for proto in protos[-1:]:
            if info.name:
                proto.name = self._node_name(info.name, derived=False)
            if info.doc:
                proto.doc_string = info.doc
            for key, text in info.metadata.items():
                proto.metadata_props.add(key=key, value=text)

    def _node_name(self, stem: str, *, derived: bool) -> str:
        """A node name not used so far: onnxruntime refuses two of the same."""
        name, number = stem, 0
        while name in self.node_names or (derived and name in self.given_names):
            number += 1
            name = f"{stem}_{number}"
        self.node_names.add(name)
        return name

    def _operands(self, node: int) -> list[Ref]:
        operands = enumerate(self.graph.operands(node))
        return [NOTHING if value is None else self._operand(value, slot) for slot, value in operands]

    def _operand(self, value: Value, slot: int) -> Ref:
        type_, tensor = self.graph.type(value), self.graph.constant(value)
        return Ref(name=self._name(value), type=type_, tensor=tensor, slot=slot)

    def _opaque(self, node: int, op: Opaque, results: list[str]) -> NodeProto:
        operands = self.graph.operands(node)
        own = [*operands[: op.arity], *(None,) * (op.arity - len(operands))]
        names = ["" if value is None else self._name(value) for value in own]
        proto = self.proto.node.add(op_type=op.op_type, input=names, output=results)
        if op.domain:
            proto.domain = op.domain
        if op.overload:
            proto.overload = op.overload
        captured = iter(operands[op.arity :])
        attributes: dict[str, AttributeProto] = {}
        for name, encoded in op.encoded.items():
            if name:
                attributes[name] = AttributeProto.FromString(encoded)
            else:
                proto.MergeFromString(encoded)
        for name, body in op.subgraphs.items():
            around = {inside: self._captured(next(captured)) for inside in body.captures}
            graph = write_graph(
                body, opset=self.opset, store=self.store, around=around, outside=(self.graph, self.taken)
            )
            attributes[name] = AttributeProto(name=name, type=AttributeProto.GRAPH, g=graph)
        proto.attribute.extend(attribute for _, attribute in sorted(attributes.items()))
        return proto

    def _captured(self, value: Value | None) -> str:
        return "" if value is None else self._name(value)

    # ---- tensors and types ----

    def _write_tensors(self) -> None:
        for node in self.graph.nodes():
            op = self.graph.op(node)
            tensor = op.tensor if isinstance(op, Constant) else op.default if isinstance(op, Input) else None
            value = Value(node, 0)
            if tensor is None or (isinstance(op, Constant) and self._is_absorbed(value)):
                continue
            proto = self.store(tensor, self._name(value))
            info = self.graph.info(node)
            if info.doc:
                proto.doc_string = info.doc
            for key, text in info.metadata.items():
                proto.metadata_props.add(key=key, value=text)
            self.proto.initializer.append(proto)
        self.proto.initializer.extend(self.store(tensor, name) for name, tensor in self.constants)

    def _is_absorbed(self, value: Value) -> bool:
        """Whether every reader of a constant has it in an attribute."""
        uses = self.graph.readers(value)
        return bool(uses) and not self.graph.is_output(value) and self.absorbed.issuperset(uses)

    def _write_types(self) -> None:
        """The types the file stated, constants' first: initializers have no place among the nodes."""
        told = {*self.graph.inputs, *self.graph.outputs, *self.graph.captures}
        constants: list[ValueInfoProto] = []
        computed: list[ValueInfoProto] = []
        for node in self.graph.nodes():
            is_constant = isinstance(self.graph.op(node), Constant)
            computed.extend(self.between.get(node, ()))
            for value in self.graph.results(node):
                info = self.graph.value_info(value)
                noted = info.recorded or (not is_constant and bool(info.doc or info.metadata))
                if noted and info.name and value not in told and value not in self.named:
                    kind = value_proto(info, name=self._name(value))
                    (constants if is_constant else computed).append(kind)
        self.proto.value_info.extend([*constants, *computed])


def _sparse_constant(graph: Graph, node: int) -> SparseTensorProto | None:
    """The tensor of a sparse constant that the file need not say more of than the name of its value."""
    op, info = graph.op(node), graph.info(node)
    if not isinstance(op, Opaque) or (op.label, *op.encoded) != ("Constant", "sparse_value"):
        return None
    plain = not (info.name or info.doc or info.metadata or graph.is_output(Value(node, 0)))
    plain = plain and graph.model.ir_version >= _SPARSE_INITIALIZERS
    return AttributeProto.FromString(op.encoded["sparse_value"]).sparse_tensor if plain else None


def _second(info: NodeInfo, op_type: str) -> NodeInfo:
    """What the node of a fused operation is called that never was a node of its own."""
    return NodeInfo(name=f"{info.name}_{op_type.lower()}" if info.name else "")
