"""A stable text form of graphs: for goldens, error messages and diffs. What is printed can be parsed again.

    model ir 8 opset {"": 17}
    graph "net" (%x) -> (%y) {
      %x : float32[N, 3, 8, 6]! = input
      %w : float32[4, 3, 3, 3] = constant sha256 "0f343b0931126a20"
      %y : float32[N, 4, 6, 4]! = Conv(%x, %w) {strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1)} @ "conv"
    }

``!`` marks types that the model file states; ``_`` is an omitted operand or a result nobody asked for. Doc
strings, metadata and carried fields are not part of it.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any, cast

from convgraph.errors import InvalidModel
from convgraph.ir.encoded import Plain, decode, encode
from convgraph.ir.graph import Graph, Header, ModelInfo, NodeInfo, Value, ValueInfo
from convgraph.ir.ops import TYPED
from convgraph.ir.ops.activation import Activation
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.tensor import DataType, Tensor, TensorType
from convgraph.ir.text_tokens import (
    INLINE,
    Tokens,
    base64_text,
    is_element_type,
    read_element_type,
    read_list,
    read_literal,
    read_tensor,
    read_type,
    read_value_name,
    tensor_text,
    type_text,
    value_name,
)

_NO_TENSORS: Mapping[str, Tensor] = MappingProxyType({})


def print_graph(graph: Graph) -> str:
    """The text of a graph; equal graphs have equal texts."""
    opsets = json.dumps(dict(sorted(graph.model.opsets.items())))
    return f"model ir {graph.model.ir_version} opset {opsets}\n" + "\n".join(_graph_lines(graph)) + "\n"


def large_tensors(graph: Graph) -> dict[str, Tensor]:
    """The constants that the text names by digest only, by value name, bodies' included."""
    found: dict[str, Tensor] = {}
    for node in graph.nodes():
        op = graph.op(node)
        tensor = op.tensor if isinstance(op, Constant) else op.default if isinstance(op, Input) else None
        if tensor is not None and tensor.size > INLINE:
            found[graph.value_name(Value(node, 0))] = tensor
        for body in op.subgraphs.values() if isinstance(op, Opaque) else ():
            found |= large_tensors(body)
    return found


def parse_graph(text: str, *, tensors: Mapping[str, Tensor] = _NO_TENSORS) -> Graph:
    """The graph of a text; ``tensors`` are its large constants by value name (see ``large_tensors``).

    Raises InvalidModel, naming the line or value, for a text that is not of this form.
    """
    tokens = Tokens(text)
    tokens.expect("model", "ir")
    ir_version = tokens.integer()
    tokens.expect("opset", "{")
    opsets: dict[str, int] = {}
    while not tokens.take("}"):
        domain = tokens.string()
        tokens.expect(":")
        opsets[domain] = tokens.integer()
        tokens.take(",")
    model = ModelInfo(ir_version=ir_version, opsets=MappingProxyType(opsets))
    graph = _Parser(tokens, tensors).graph(model)
    if tokens.peek():
        raise tokens.error("the end")
    return graph


# ---- printing ----


def _graph_lines(graph: Graph) -> Iterator[str]:
    captured = f" captures {_names(graph, graph.captures)}" if graph.captures else ""
    head = f"graph {json.dumps(graph.name)} {_names(graph, graph.inputs)}{captured}"
    yield f"{head} -> {_names(graph, graph.outputs)} {{"
    for node in graph.nodes():
        for line in _node_text(graph, node).split("\n"):
            yield f"  {line}"
    yield "}"


def _names(graph: Graph, values: Sequence[Value | None]) -> str:
    return f"({', '.join('_' if v is None else value_name(graph.value_name(v)) for v in values)})"


def _node_text(graph: Graph, node: int) -> str:
    results = ", ".join(_result_text(graph.value_info(value)) for value in graph.results(node))
    name = graph.info(node).name
    return f"{results} = {_op_text(graph, node)}" + (f" @ {json.dumps(name)}" if name else "")


def _result_text(info: ValueInfo) -> str:
    foreign = "" if info.foreign is None else " " + base64_text(info.foreign)
    return f"{value_name(info.name)} : {type_text(info.type)}{foreign}{'!' if info.recorded else ''}"


def _op_text(graph: Graph, node: int) -> str:
    op, operands = graph.op(node), graph.operands(node)
    if isinstance(op, Constant):
        return f"constant {tensor_text(op.tensor)}"
    if isinstance(op, Input):
        return "input" if op.default is None else f"input default {_default_text(op.default)}"
    if isinstance(op, Opaque):
        return _opaque_text(graph, op, operands)
    attributes = _attributes_text(op)
    return f"{op.label}{_names(graph, operands)}" + (f" {attributes}" if attributes else "")


def _default_text(tensor: Tensor) -> str:
    return f"{type_text(TensorType(tensor.dtype, shape=tensor.shape))} {tensor_text(tensor)}"


def _attributes_text(op: Op) -> str:
    """The fields that are not at their defaults, in declaration order, in braces; "" when there is none."""
    items = [
        f"{f.name}={_field_text(getattr(op, f.name))}"
        for f in fields(op)
        if f.default is MISSING or getattr(op, f.name) != f.default
    ]
    return f"{{{', '.join(items)}}}" if items else ""


def _field_text(value: Any) -> str:
    if isinstance(value, Activation):
        return value.label + _attributes_text(value)
    if isinstance(value, DataType):
        return value.label
    if isinstance(value, tuple):
        return f"({', '.join(repr(v) for v in value)})"
    return "none" if value is None else json.dumps(value) if isinstance(value, str) else repr(value)


def _opaque_text(graph: Graph, op: Opaque, operands: Sequence[Value | None]) -> str:
    head = f"opaque {json.dumps(op.op_type)}"
    head += f" of {json.dumps(op.domain)}" if op.domain else ""
    head += f" overload {json.dumps(op.overload)}" if op.overload else ""
    own = [*operands[: op.arity], *(None,) * (op.arity - len(operands))]
    captured = f" captures {_names(graph, operands[op.arity :])}" if len(operands) > op.arity else ""
    items = [f"{_word(name)}={_encoded_text(name, data)}" for name, data in op.encoded.items()]
    items += [f"{_word(name)}=" + "\n".join(_graph_lines(body)) for name, body in op.subgraphs.items()]
    attributes = f" {{{', '.join(items)}}}" if items else ""
    return f"{head} {_names(graph, own)}{captured}{attributes}"


def _word(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else json.dumps(name)


def _encoded_text(name: str, data: bytes) -> str:
    value = decode(name, data)
    if value is None:
        return base64_text(data)
    return json.dumps(value) if isinstance(value, str) else _list_text(value)


def _list_text(value: float | list[int] | list[float] | list[str]) -> str:
    if not isinstance(value, list):
        return repr(value)
    return f"[{', '.join(json.dumps(v) if isinstance(v, str) else repr(v) for v in value)}]"


# ---- parsing ----


def _all_names(body: Graph) -> Iterator[str]:
    """Every name in a body, at any depth."""
    for node in body.nodes():
        yield from (body.value_name(value) for value in body.results(node))
        op = body.op(node)
        for inner in op.subgraphs.values() if isinstance(op, Opaque) else ():
            yield from _all_names(inner)


class _Parser:
    def __init__(self, tokens: Tokens, tensors: Mapping[str, Tensor]) -> None:
        self.tokens, self.tensors = tokens, tensors

    def graph(self, model: ModelInfo) -> Graph:
        """One graph; a body's model is never asked for."""
        tokens = self.tokens
        tokens.expect("graph")
        graph = Graph(Header(name=tokens.string(), model=model))
        inputs = self._value_names()
        captures = self._value_names() if tokens.take("captures") else []
        tokens.expect("->")
        outputs = self._value_names()
        tokens.expect("{")
        while not tokens.take("}"):
            self._node(graph)
        graph.inputs = tuple(self._values(graph, inputs))
        graph.captures = tuple(self._values(graph, captures))
        graph.outputs = tuple(self._values(graph, outputs))
        return graph

    def _value_names(self) -> list[str]:
        self.tokens.expect("(")
        names: list[str] = []
        while not self.tokens.take(")"):
            names.append(read_value_name(self.tokens))
            self.tokens.take(",")
        return names

    def _values(self, graph: Graph, names: Sequence[str]) -> Iterator[Value]:
        for name in names:
            if not graph.has_name(name):
                raise InvalidModel(name, found="a value nobody makes", expected="a result above")
            yield graph.value(name)

    def _node(self, graph: Graph) -> None:
        infos = [self._result()]
        while self.tokens.take(","):
            infos.append(self._result())
        self.tokens.expect("=")
        op, names = self._op(infos[0])
        slots = [next(self._values(graph, [name])) if name else None for name in names]
        info = NodeInfo(name=self.tokens.string() if self.tokens.take("@") else "")
        graph.insert(op, slots, results=infos, info=info)
        for body in op.subgraphs.values() if isinstance(op, Opaque) else ():
            graph.reserve(_all_names(body))

    def _result(self) -> ValueInfo:
        name = read_value_name(self.tokens)
        self.tokens.expect(":")
        kind = read_type(self.tokens)
        foreign = self._base64() if self.tokens.peek() == "base64" else None
        return ValueInfo(name=name, type=kind, foreign=foreign, recorded=self.tokens.take("!"))

    def _base64(self) -> bytes:
        self.tokens.expect("base64")
        return base64.b64decode(self.tokens.string())

    def _op(self, first: ValueInfo) -> tuple[Op, list[str]]:
        tokens = self.tokens
        if tokens.take("constant"):
            tensor = read_tensor(tokens, first.type, name=first.name, tensors=self.tensors)
            return Constant(tensor=tensor), []
        if tokens.take("input"):
            return self._input(first), []
        if tokens.take("opaque"):
            return self._opaque()
        if tokens.peek() not in TYPED:
            raise tokens.error("an operation")
        name = tokens.next()
        operands = self._value_names()
        return self._typed(name), operands

    def _input(self, first: ValueInfo) -> Input:
        if not self.tokens.take("default"):
            return Input()
        kind = read_type(self.tokens)
        return Input(default=read_tensor(self.tokens, kind, name=first.name, tensors=self.tensors))

    def _typed(self, name: str) -> Op:
        """An operation of a class, its attributes next; those not given have their defaults."""
        cls = TYPED[name]
        given: dict[str, Any] = {}
        known = {f.name for f in fields(cls)}
        while self._more_attributes(first=not given):
            if self.tokens.peek() not in known:
                raise self.tokens.error(f"an attribute of {name}")
            attribute = self.tokens.word()
            self.tokens.expect("=")
            given[attribute] = self._field()
        missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in given]
        if missing:
            raise self.tokens.error(f"{missing[0]} of {name}")
        return cls(**given)

    def _more_attributes(self, *, first: bool) -> bool:
        """Whether an attribute follows: inside braces, which may be left out when there is none."""
        if first:
            return self.tokens.take("{")
        if self.tokens.take(","):
            return True
        self.tokens.expect("}")
        return False

    def _field(self) -> Any:
        tokens = self.tokens
        if tokens.take("none"):
            return None
        if tokens.take("("):
            items: list[Any] = []
            while not tokens.take(")"):
                items.append(read_literal(tokens))
                tokens.take(",")
            return tuple(items)
        if tokens.peek() in TYPED:
            return self._typed(tokens.next())
        return read_element_type(tokens) if is_element_type(tokens.peek()) else read_literal(tokens)

    def _opaque(self) -> tuple[Op, list[str]]:
        tokens = self.tokens
        op_type = tokens.string()
        domain = tokens.string() if tokens.take("of") else ""
        overload = tokens.string() if tokens.take("overload") else ""
        own = self._value_names()
        captured = self._value_names() if tokens.take("captures") else []
        encoded: dict[str, bytes] = {}
        subgraphs: dict[str, Graph] = {}
        while self._more_attributes(first=not encoded and not subgraphs):
            name = tokens.word()
            tokens.expect("=")
            if tokens.peek() == "graph":
                subgraphs[name] = self.graph(ModelInfo())
            else:
                encoded[name] = self._encoded(name)
        op = Opaque(
            op_type=op_type,
            domain=domain,
            overload=overload,
            arity=len(own),
            encoded=MappingProxyType(encoded),
            subgraphs=MappingProxyType(subgraphs),
        )
        return op, [*own, *captured]

    def _encoded(self, name: str) -> bytes:
        if self.tokens.peek() == "base64":
            return self._base64()
        value = read_list(self.tokens) if self.tokens.peek() == "[" else read_literal(self.tokens)
        return encode(name, cast("Plain", value))
