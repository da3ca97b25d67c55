"""A model at a newer opset: the same function, said as that opset says it.

Typed operations mean the same in every opset, so the exporter sees to those. One of ONNX's own operators that
convgraph has no class for stays as it is where both opsets have the same declaration of it, goes through
onnx's version converter where they have not, alone, and is refused where that fails or is known to be wrong.
Bodies of control flow and local functions are upgraded with the model. Other operator sets stay as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from convgraph.compiler.splice import spliced
from convgraph.errors import UnsupportedOp
from convgraph.exporters.onnx_graph import write_graph
from convgraph.exporters.onnx_model import to_onnx
from convgraph.importers.onnx_graph import LEFTOVER, Setting, read_graph
from convgraph.importers.onnx_model import from_onnx
from convgraph.importers.onnx_order import bodies
from convgraph.importers.onnx_types import Inferred
from convgraph.ir.graph import Graph, Header, ModelInfo, NodeInfo, Value, ValueInfo
from convgraph.ir.ops import Constant, Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.numerics.session import Session, Unverifiable

_FAILURES = (
    onnx.version_converter.ConvertError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
)  # everything that onnx raises over a node that it cannot convert

_SMALL = 64  # elements: what the converter may want to see of an operand

_STEADY = {"Constant": 1, "If": 1, "Loop": 1, "Scan": 9}
"""Operators that mean the same from some opset on, however their declarations changed."""

_CHANGED = {
    "BatchNormalization": (7, 9, 14),
    "Dropout": (7, 10, 12),
    "GroupNormalization": (21,),
    "Hardmax": (13,),
    "PRelu": (7,),
    "Resize": (11, 13),
    "Scan": (9,),
    "Upsample": (7, 11),
}
"""Opsets in which an operator came to mean something else, and onnx's converter takes no notice."""


def upgraded(graph: Graph, opset: int, *, since: int | None = None) -> Graph:
    """The graph of the same model at an opset; the given one is left as it is.

    ``since`` is the opset that its operators are from, where that is not the one it states. Raises
    UnsupportedOp for an opset that is older than the model's, or newer than onnx knows, and for an operator
    that nothing converts, naming it.
    """
    before, newest = graph.model.opset if since is None else since, onnx.defs.onnx_opset_version()
    if not before <= opset <= newest:
        expected = f"{before}, the model's own, to {newest}: models are upgraded only"
        raise UnsupportedOp("opset", found=str(opset), expected=expected)
    if opset == before:
        return graph
    rest = ModelProto.FromString(graph.model.carried)
    names = frozenset((function.domain, function.name) for function in rest.functions)
    upgrade = _Upgrade(before=before, after=opset, functions=names)
    result = upgrade.graph(graph)
    upgrade.check_training(rest)
    for function in rest.functions:
        function.CopyFrom(upgrade.function(function))
    result.header.model = replace(
        graph.model,
        ir_version=max(graph.model.ir_version, _ir_version(opset)),
        opsets=MappingProxyType({**graph.model.opsets, "": opset}),
        carried=rest.SerializeToString(deterministic=True),
    )
    return result


def _ir_version(opset: int) -> int:
    return helper.find_min_ir_version_for([helper.make_opsetid("", opset)])


def unknown_to_runtime(opset: int) -> str:
    """Why onnxruntime opens no model of an opset; nothing where it does."""
    body = helper.make_graph([], "g", [], [helper.make_tensor_value_info("x", 1, [1])])
    body.input.extend(body.output)
    imports = [helper.make_opsetid("", opset)]
    try:
        Session(helper.make_model(body, ir_version=_ir_version(opset), opset_imports=imports))
    except Unverifiable as error:
        return f"opset {opset}: {error.found}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upgrade:
    """From one opset to a newer one, in a model that has these local functions."""

    before: int
    after: int
    functions: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    def graph(self, graph: Graph, *, around: Graph | None = None) -> Graph:
        """A copy with every operation as the newer opset has it; a body hides no name from ``around``."""
        twin = graph.copy()
        twin.around = around
        for node in graph.nodes():
            if isinstance(op := graph.op(node), Opaque):
                self._renew(twin, node, op)
        twin.around = None
        if around is not None:
            around.reserve(twin.names())
        return twin

    def function(self, function: FunctionProto) -> FunctionProto:
        """A local function at the newer opset; the very same where that changes no operator."""
        opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in function.opset_import}
        own = replace(self, before=opsets.get("", self.before))
        if own.before >= self.after or all(map(own.keeps, _all_nodes(function.node))):
            return function
        body = GraphProto(name=function.name, node=function.node, value_info=function.value_info)
        body.input.extend(ValueInfoProto(name=name) for name in function.input)
        body.output.extend(ValueInfoProto(name=name) for name in function.output)
        setting = Setting(opset=own.before, body=True, functions=self.functions)
        graph = read_graph(body, setting=setting, header=Header(name=function.name), inferred=Inferred())
        written = write_graph(own.graph(graph), opset=self.after)
        result = FunctionProto()
        result.CopyFrom(function)
        del result.node[:], result.value_info[:]
        for tensor in written.initializer:
            result.node.append(helper.make_node("Constant", [], [tensor.name], value=tensor))
        result.node.extend(written.node)
        result.value_info.extend(written.value_info)
        for entry in result.opset_import:
            if entry.domain in ("", "ai.onnx"):
                entry.version = self.after
        return result

    def check_training(self, model: ModelProto) -> None:
        """Refuse training graphs, which are carried as they are, when an operator in them would change."""
        for info in model.training_info:
            for node in _all_nodes((*info.initialization.node, *info.algorithm.node)):
                if not self.keeps(node):
                    raise self._refusal(f"training node {node.name or node.op_type}", node.op_type)

    def keeps(self, node: NodeProto) -> bool:
        """Whether a node says the same in both opsets."""
        return self._is_foreign(node.domain, node.op_type) or self._is_steady(node.op_type)

    def _renew(self, graph: Graph, node: int, op: Opaque) -> None:
        """Make one opaque node say in the newer opset what it said."""
        new = {name: self.graph(body, around=graph) for name, body in op.subgraphs.items()}
        self._check_lists(graph, node, op)
        if not self._is_foreign(op.domain, op.op_type) and not self._is_steady(op.op_type):
            spliced(graph, node, self._converted(graph, node, op))
        elif new:
            graph.set_op(node, replace(op, subgraphs=MappingProxyType(new)))

    def _is_foreign(self, domain: str, op_type: str) -> bool:
        return domain not in ("", "ai.onnx") or (domain, op_type) in self.functions

    def _is_steady(self, op_type: str) -> bool:
        if self.before >= _STEADY.get(op_type, self.after):
            return True
        versions = [_declared_since(op_type, opset) for opset in (self.before, self.after)]
        return versions[0] == versions[1]

    def _check_lists(self, graph: Graph, node: int, op: Opaque) -> None:
        """Refuse graphs in a list, which are carried as they are, when an operator in them would change."""
        for encoded in op.encoded.values():
            attribute = AttributeProto.FromString(encoded)
            inner = [n for body in attribute.graphs for n in _all_nodes(body.node)]
            for changed in (n for n in inner if not self.keeps(n)):
                raise self._refusal(graph.describe(node), changed.op_type)

    def _converted(self, graph: Graph, node: int, op: Opaque) -> Graph:
        """One node alone at the newer opset, as ``spliced`` wants it."""
        at = graph.describe(node)
        crossed = any(self.before < opset <= self.after for opset in _CHANGED.get(op.op_type, ()))
        referring = any(
            AttributeProto.FromString(encoded).ref_attr_name for name, encoded in op.encoded.items() if name
        )
        if crossed or referring or op.overload or op.subgraphs or LEFTOVER in op.encoded:
            raise self._refusal(at, op.op_type)
        try:
            model = onnx.version_converter.convert_version(self._alone(graph, node), self.after)
            for written in model.graph.node:
                onnx.checker.check_node(written, _context(self.after))
            return from_onnx(model)
        except _FAILURES as error:
            raise self._refusal(at, op.op_type) from error

    def _alone(self, graph: Graph, node: int) -> ModelProto:
        opsets: Mapping[str, int] = MappingProxyType({"": self.before})
        header = Header(name="node", model=ModelInfo(ir_version=_ir_version(self.after), opsets=opsets))
        alone = Graph(header)
        operands: list[Value | None] = []
        for slot, value in enumerate(graph.operands(node)):
            operands.append(None if value is None else _stand_in(graph, value, alone, name=f"operand_{slot}"))
        infos = [
            replace(info, name=f"result_{number}")
            for number, info in enumerate(map(graph.value_info, graph.results(node)))
        ]
        alone.outputs = alone.insert(graph.op(node), operands, results=infos, info=NodeInfo())
        return to_onnx(alone)

    def _refusal(self, at: str, op_type: str) -> UnsupportedOp:
        found = f"{op_type} of opset {self.before}, which is another in opset {self.after}"
        return UnsupportedOp(at, found=found, expected="an operator that can be converted")


def _stand_in(graph: Graph, value: Value, alone: Graph, *, name: str) -> Value:
    """What an operand is to the node alone: the constant where it is small, else an input."""
    tensor = graph.constant(value)
    info = ValueInfo(name=name, type=graph.type(value), foreign=graph.value_info(value).foreign)
    known = tensor is not None and tensor.size <= _SMALL
    op = Constant(tensor=tensor) if tensor is not None and known else Input()
    (result,) = alone.insert(op, (), results=[info], info=NodeInfo())
    if not known:
        alone.inputs = (*alone.inputs, result)
    return result


def _context(opset: int) -> onnx.checker.C.CheckerContext:
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = _ir_version(opset), {"": opset}
    return context


def _declared_since(op_type: str, opset: int) -> int:
    """The opset that an operator's declaration in force is from; 0 where there is none."""
    try:
        return onnx.defs.get_schema(op_type, opset, "").since_version
    except onnx.defs.SchemaError:
        return 0


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterable[NodeProto]:
    for node in nodes:
        yield node
        for body in bodies(node):
            yield from _all_nodes(body.node)
