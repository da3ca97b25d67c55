"""The graph: a ``networkx.MultiDiGraph`` of operations with tables for everything a node or value is called.

A node is one operation (networkx attribute ``op``). An edge is one operand, keyed by (output index of the
producer, operand slot of the reader), so that ``x * x`` has two. Graph inputs and constants are nodes without
operands. Beside the edges stand tables: the operations, the operands of each node and the readers of each
value, so that one operand among thousands is found, and changed, without looking at the others. This is the
only module that reads or writes networkx attributes; change a graph through ``convgraph.ir.edit``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import networkx as nx

from convgraph.errors import InvalidModel
from convgraph.ir.header import Header, ModelInfo, no_strings
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.order import ordered
from convgraph.ir.tensor import UNKNOWN, Tensor, TensorType

__all__ = ["Graph", "Header", "ModelInfo", "NodeInfo", "Use", "Value", "ValueInfo"]


class Value(NamedTuple):
    """One result of one node, by the node's output index: what flows along edges."""

    node: int
    output: int


class Use(NamedTuple):
    """One operand slot of one node: where a value is read."""

    node: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueInfo:
    """What is known about a value beyond who makes and reads it.

    ``name`` is empty for a result nobody asked for. ``recorded`` says that the model file stated the type,
    so that it is written again. ``foreign`` is the serialised ``TypeProto`` of a value that is not a dense
    tensor. ``denotations`` say what a dense one stands for, the value first and then each axis, in ONNX's
    words ("" where the file does not say).
    """

    name: str = ""
    type: TensorType = UNKNOWN
    doc: str = ""
    metadata: Mapping[str, str] = field(default_factory=no_strings)
    recorded: bool = False
    foreign: bytes | None = None
    denotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """What a node is called, and its place: nodes that no edge orders are listed by ``order``.

    A constant, and an input that may be left out, note here what the file says about the tensor. For an
    operation with another one fused into it, ``between`` is what the value between the two was called and
    ``fused`` the second one's own node, so that both are written apart under their old names.
    """

    name: str = ""
    doc: str = ""
    metadata: Mapping[str, str] = field(default_factory=no_strings)
    order: tuple[int, ...] = ()
    between: ValueInfo | None = None
    fused: "NodeInfo | None" = None


class Graph:
    """A model: operations, the values between them, ordered inputs and outputs.

    Examples
    --------
    >>> from convgraph.ir.build import GraphBuilder
    >>> from convgraph.ir.ops import Relu
    >>> b = GraphBuilder("g")
    >>> x = b.input("x", shape=(1, 3))
    >>> b.output(b.add(Relu(), x), name="y")
    >>> graph = b.build()
    >>> [graph.op(node).label for node in graph.nodes()]
    ['Input', 'Relu']
    """

    def __init__(self, header: Header | None = None) -> None:
        self.header = header or Header()
        self.nx: nx.MultiDiGraph[int] = nx.MultiDiGraph()
        self.inputs: tuple[Value, ...] = ()
        self.captures: tuple[Value, ...] = ()
        self.around: Graph | None = None  # the graph whose names a body must not hide, while it is rewritten
        self.outputs = ()
        self._ops: dict[int, Op] = {}
        self._operands: dict[int, list[Value | None]] = {}
        self._results: dict[int, tuple[Value, ...]] = {}
        self._readers: dict[int, list[dict[Use, None]]] = {}
        self._node_infos: dict[int, NodeInfo] = {}
        self._value_infos: dict[int, list[ValueInfo]] = {}
        self._by_name: dict[str, Value] = {}
        self._reserved: set[str] = set()
        self._suffixes: dict[str, int] = {}
        self._next_node = 0
        self._order: tuple[int, ...] | None = None

    # ---- reading ----

    @property
    def model(self) -> ModelInfo:
        """What the model file says outside its graph."""
        return self.header.model

    @property
    def name(self) -> str:
        """The graph's own name."""
        return self.header.name

    @property
    def outputs(self) -> tuple[Value, ...]:
        """What the graph returns, in order."""
        return self._outputs

    @outputs.setter
    def outputs(self, values: Iterable[Value]) -> None:
        """Set what the graph returns."""
        self._outputs = tuple(values)
        self._returned = Counter(self._outputs)
        self._returning = Counter(value.node for value in self._outputs)

    def __len__(self) -> int:
        """Number of nodes, inputs and constants included."""
        return int(self.nx.number_of_nodes())

    def __contains__(self, node: int) -> bool:
        return node in self._node_infos

    def nodes(self) -> tuple[int, ...]:
        """All nodes, every producer before its readers and otherwise in the model's own order.

        Raises InvalidModel when the graph has a cycle.
        """
        if self._order is None:
            infos = self._node_infos
            try:
                self._order = ordered(self.nx, listed=lambda n: infos[n].order, operands=self._operands)
            except nx.NetworkXUnfeasible:
                cycle = " -> ".join(self.describe(edge[0]) for edge in nx.find_cycle(self.nx))
                raise InvalidModel(
                    self.name, found=f"a cycle ({cycle})", expected="an acyclic graph"
                ) from None
        return self._order

    def compute_nodes(self) -> Iterator[int]:
        """The nodes that compute something: neither inputs nor constants; in topological order."""
        return (node for node in self.nodes() if not isinstance(self.op(node), (Constant, Input)))

    def op(self, node: int) -> Op:
        """The operation of a node."""
        return self._ops[node]

    def producer(self, value: Value) -> Op:
        """The operation that makes a value."""
        return self.op(value.node)

    def operands(self, node: int) -> tuple[Value | None, ...]:
        """The operands of a node in slot order; None where an optional one is omitted."""
        return tuple(self._operands[node])

    def operand(self, node: int, slot: int) -> Value | None:
        """One operand of a node; None when it is omitted."""
        operands = self._operands[node]
        return operands[slot] if slot < len(operands) else None

    def results(self, node: int) -> tuple[Value, ...]:
        """The results of a node, unnamed ones included."""
        return self._results[node]

    def readers(self, value: Value) -> tuple[Use, ...]:
        """Where a value is read as an operand (being a graph output is not a use: ask ``is_output``)."""
        return tuple(self._readers[value.node][value.output])

    def sole_reader(self, value: Value) -> Use | None:
        """The one place a value is read; None when it is read more or less than once or is a graph output."""
        uses = self._readers[value.node][value.output]
        return next(iter(uses)) if len(uses) == 1 and not self.is_output(value) else None

    def makes(self, value: Value) -> bool:
        """Whether there is such a value: its node is in the graph and has that many results."""
        return value.output < len(self._value_infos.get(value.node, ()))

    def is_output(self, value: Value) -> bool:
        """Whether the graph returns this value."""
        return value in self._returned

    def is_unread(self, node: int) -> bool:
        """Whether no result of the node is read or returned."""
        return not any(self._readers[node]) and node not in self._returning

    def constant(self, value: Value | None) -> Tensor | None:
        """The tensor a value always is; None when it is computed, supplied by the caller, or omitted."""
        op = None if value is None else self.producer(value)
        if isinstance(op, Constant):
            return op.tensor
        return op.constant if isinstance(op, Input) else None

    def info(self, node: int) -> NodeInfo:
        """Name, doc string, metadata and place of a node."""
        return self._node_infos[node]

    def is_supplied(self, value: Value) -> bool:
        """Whether a value comes from outside and may be another each time."""
        op = self.producer(value)
        return isinstance(op, Input) and op.constant is None

    def value_info(self, value: Value) -> ValueInfo:
        """Name, type, doc string and metadata of a value."""
        return self._value_infos[value.node][value.output]

    def type(self, value: Value) -> TensorType:
        """Element type and shape of a value, as far as they are known."""
        return self.value_info(value).type

    def value_name(self, value: Value) -> str:
        """The ONNX tensor name of a value; empty for a result nobody asked for."""
        return self.value_info(value).name

    def value(self, name: str) -> Value:
        """The value with a name. Raises KeyError when there is none."""
        return self._by_name[name]

    def has_value(self, name: str) -> bool:
        """Whether a value has this name."""
        return name in self._by_name

    def has_name(self, name: str) -> bool:
        """Whether a value, something inside a subgraph, or something around a body is called that."""
        known = name in self._by_name or name in self._reserved
        return known or (self.around is not None and self.around.has_name(name))

    def describe(self, node: int) -> str:
        """How messages name a node: its own name, else its first named result, with the operation."""
        info = self._node_infos[node]
        names = (result.name for result in self._value_infos[node] if result.name)
        return f"{self.op(node).label} {info.name or next(names, f'#{node}')}"

    def names(self) -> Iterator[str]:
        """What its values and everything inside subgraphs are called."""
        yield from self._by_name
        yield from self._reserved

    def fresh_name(self, stem: str) -> str:
        """A name not taken, here or in a subgraph: ``stem``, else ``stem_1``, ``stem_2`` and so on."""
        number = self._suffixes.get(stem, 0)
        name = stem if number == 0 else f"{stem}_{number}"
        while self.has_name(name):
            number += 1
            name = f"{stem}_{number}"
        self._suffixes[stem] = number + 1  # a name given out is gone, though nothing claims it yet
        return name

    @property
    def next_order(self) -> int:
        """A number no node's place has used yet."""
        return self._next_node

    def copy(self) -> "Graph":
        """An independent graph with the same nodes, operations and tensors (which never change) shared."""
        twin = Graph(replace(self.header))
        twin.nx = self.nx.copy()
        twin.inputs, twin.captures, twin.outputs = self.inputs, self.captures, self.outputs
        twin._ops, twin._results = dict(self._ops), dict(self._results)
        twin._node_infos = dict(self._node_infos)
        twin._operands = {node: list(operands) for node, operands in self._operands.items()}
        twin._readers = {node: [dict(uses) for uses in results] for node, results in self._readers.items()}
        twin._value_infos = {node: list(infos) for node, infos in self._value_infos.items()}
        twin._by_name = dict(self._by_name)
        twin._reserved = set(self._reserved)
        twin._suffixes = dict(self._suffixes)
        twin._next_node, twin._order = self._next_node, self._order
        return twin

    def region(self, nodes: Iterable[int], *, beside: Iterable[int] = ()) -> "Graph":
        """The named nodes alone, as a graph in which they and their values keep their identity.

        Constants they read come along; all else they read becomes an input, as do the results of the nodes
        ``beside`` them, and what is read or returned outside becomes an output. What is found in the graph
        about these nodes can be tried out on the region, whatever their numbers are.
        """
        listed = sorted(set(nodes), key=lambda n: (self._node_infos[n].order, n))
        inside, part = set(listed), Graph(replace(self.header))
        part._reserved, part._next_node = self._reserved, self._next_node
        sources = {v.node for n in inside for v in self.operands(n) if v is not None}.union(beside) - inside
        for node in sorted(inside | sources):
            part._put(node, self.op(node) if node in inside else self._seen_from_outside(node))
            part._node_infos[node] = self._node_infos[node]
            part._value_infos[node] = list(self._value_infos[node])
            part._operands[node], part._results[node] = [], self._results[node]
            part._readers[node] = [{} for _ in self._results[node]]
            part._by_name.update((self.value_name(v), v) for v in self._results[node] if self.value_name(v))
        for node in listed:
            for slot, value in enumerate(self._operands[node]):
                part.connect(Use(node, slot), value)
        part.inputs = tuple(v for n in sorted(sources) for v in self.results(n) if not self.constant(v))
        part.outputs = tuple(v for n in listed for v in self.results(n) if self._leaves(v, inside))
        return part

    def _seen_from_outside(self, node: int) -> Op:
        """What stands for a node in a region that only reads it."""
        tensor = self.constant(Value(node, 0))
        return Input() if tensor is None else Constant(tensor=tensor)

    def _leaves(self, value: Value, inside: set[int]) -> bool:
        return self.is_output(value) or any(use.node not in inside for use in self.readers(value))

    # ---- writing: for convgraph.ir.edit, convgraph.ir.build and the importers ----

    def insert(
        self, op: Op, operands: Sequence[Value | None], *, results: Sequence[ValueInfo], info: NodeInfo
    ) -> tuple[Value, ...]:
        """Add a node; returns its results. Raises InvalidModel for a name that is taken."""
        node = self._next_node
        self._next_node += 1
        self._put(node, op)
        self._node_infos[node] = info if info.order else replace(info, order=(node,))
        self._value_infos[node] = list(results)
        self._operands[node] = []
        self._results[node] = made = tuple([Value(node, index) for index in range(len(results))])
        self._readers[node] = [{} for _ in results]
        for result, said in zip(made, results, strict=True):
            self._claim(said.name, result)
        for slot, value in enumerate(operands):
            self.connect(Use(node, slot), value)
        self._order = None
        return made

    def remove(self, node: int) -> None:
        """Take out a node that nothing reads, and free the names of its results."""
        for slot, operand in enumerate(self._operands[node]):
            if operand is not None:
                del self._readers[operand.node][operand.output][Use(node, slot)]
        for result in self._value_infos.pop(node):
            self._by_name.pop(result.name, None)
        del self._ops[node], self._operands[node], self._results[node], self._readers[node]
        self.nx.remove_node(node)
        del self._node_infos[node]
        self._order = None

    def connect(self, use: Use, value: Value | None) -> None:
        """Make an operand slot read another value, or nothing."""
        operands = self._operands[use.node]
        operands.extend([None] * (use.slot + 1 - len(operands)))
        old, operands[use.slot] = operands[use.slot], value
        if old is not None:
            self.nx.remove_edge(old.node, use.node, key=(old.output, use.slot))
            del self._readers[old.node][old.output][use]
        if value is not None:
            self.nx.add_edge(value.node, use.node, key=(value.output, use.slot))
            self._readers[value.node][value.output][use] = None
        while operands and operands[-1] is None:
            operands.pop()
        self._order = None

    def set_value_info(self, value: Value, info: ValueInfo) -> None:
        """Rename, retype or annotate a value. Raises InvalidModel for a name that is taken."""
        old = self.value_info(value)
        if old.name != info.name:
            self._by_name.pop(old.name, None)
            self._claim(info.name, value)
        self._value_infos[value.node][value.output] = info

    def set_info(self, node: int, info: NodeInfo) -> None:
        """Rename, annotate or move a node."""
        self._node_infos[node], self._order = info, None

    def set_op(self, node: int, op: Op) -> None:
        """Put another operation, with as many results, in a node's place."""
        self._put(node, op)

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names that are used inside subgraphs from being given to new values."""
        self._reserved.update(names)

    def _put(self, node: int, op: Op) -> None:
        self._ops[node] = op
        self.nx.add_node(node, op=op)

    def _claim(self, name: str, value: Value) -> None:
        if not name:
            return
        if name in self._by_name:
            raise InvalidModel(name, found="two values with this name", expected="unique value names")
        self._by_name[name] = value

    def __repr__(self) -> str:
        return f"<Graph {self.name!r}: {len([*self.compute_nodes()])} operations, opset {self.model.opset}>"
