"""The only ways to change a graph: add, constant, replace, rewire, erase, sweep.

An ``Edit`` keeps types up to date, hands graph outputs' names on, and remembers which nodes it touched, so
that a pass knows where to look next and what its rewrite left unread.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from convgraph.errors import CannotRun, InvalidModel
from convgraph.ir.graph import Graph, NodeInfo, Use, Value, ValueInfo
from convgraph.ir.ops.base import Op
from convgraph.ir.ops.constant import Constant, Input
from convgraph.ir.ops.opaque import Opaque
from convgraph.ir.ops.pointwise import Identity
from convgraph.ir.tensor import Array, Tensor, TensorType

_DERIVED = re.compile(r"_folded(_\d+)?$")


class Edit:
    """A set of changes to one graph.

    ``near`` names the node whose place, and whose name as a stem for fresh ones, new nodes take over.
    ``on_erase`` is told each node just before it is erased.
    """

    def __init__(
        self, graph: Graph, *, near: int | None = None, on_erase: Callable[[int], None] | None = None
    ) -> None:
        self.graph = graph
        self.near = near
        self._on_erase = on_erase
        self.touched: dict[int, None] = {}
        self.former: dict[int, str] = {}  # by node, the first name that a result of it gave up
        self._fresh: set[Value] = set()

    # ---- adding ----

    def add(
        self,
        op: Op,
        *operands: Value | None,
        name: str = "",
        like: int | None = None,
        fused: int | None = None,
    ) -> Value:
        """Add an operation and return its first result.

        ``name`` is a stem for the result's name. ``like`` is a node that the new one stands in for: it hands
        on its name, doc string, metadata and place. ``fused`` is a node whose operation becomes part of the
        new one: what it and its operand, the one ``like`` makes or else the first, were called is kept for
        when they are written apart again.
        Raises InvalidModel when the operation cannot take these operands.
        """
        return self.add_all(op, *operands, name=name, like=like, fused=fused)[0]

    def add_all(
        self,
        op: Op,
        *operands: Value | None,
        name: str = "",
        like: int | None = None,
        fused: int | None = None,
        outputs: int = 1,
        types: Sequence[TensorType] | None = None,
    ) -> tuple[Value, ...]:
        """Add an operation with ``outputs`` results, named ``name``, ``name_1``, … where free.

        ``types`` gives the results' types where the operation cannot infer them (Opaque).
        """
        if types is None:
            types = op.infer_all(tuple(None if v is None else self.graph.type(v) for v in operands))
        names = [self.graph.fresh_name(name or self._stem(op)) for _ in range(outputs)]
        infos = [ValueInfo(name=n, type=t) for n, t in zip(names, types, strict=False)]
        results = self.graph.insert(op, operands, results=infos, info=self._node_info(like, fused))
        self._list_constants_before(results[0].node)
        self.touched[results[0].node] = None
        self._fresh.update(results)
        return results

    def constant(self, data: Array | Tensor, *, name: str = "constant", like: Value | None = None) -> Value:
        """Add a constant. An ndarray's dtype is the constant's element type.

        ``like`` is a constant that the new one is computed from: the new name says so.
        """
        tensor = data if isinstance(data, Tensor) else Tensor(data)
        if like is not None:
            name = _DERIVED.sub("", self.graph.value_name(like)) + "_folded"
        return self.add_all(Constant(tensor=tensor), name=name, types=(tensor.type,))[0]

    def graft(
        self, body: Graph, *, captured: Mapping[Value, Value], like: int | None = None
    ) -> tuple[Value, ...]:
        """Add the operations of a body, reading ``captured`` where it captures; returns what it returns.

        ``like`` is a call of the function whose body it is: it hands on its metadata, and its name as a
        prefix, and what the bodies inside make is not called as anything here is.
        """
        here: dict[Value, Value | None] = dict(captured)
        for node in body.nodes():
            if isinstance(body.op(node), Input) or Value(node, 0) in here:
                continue
            infos = [body.value_info(result) for result in body.results(node)]
            named = [replace(info, name=info.name and self.graph.fresh_name(info.name)) for info in infos]
            inner = body.info(node) if like is None else _within(self.graph.info(like), body.info(node))
            place = replace(inner, order=self._node_info(None, None).order)
            operands = [None if value is None else here[value] for value in body.operands(node)]
            op = body.op(node) if like is None else self._adopted(body.op(node))
            results = self.graph.insert(op, operands, results=named, info=place)
            here.update(zip(body.results(node), results, strict=True))
            self.touched.update((result.node, None) for result in results)
            self._fresh.update(results)
        return tuple(value for made in body.outputs if (value := here[made]) is not None)

    # ---- changing ----

    def replace(self, old: Value, new: Value) -> None:
        """Make every reader of ``old``, and the graph's outputs, read ``new``.

        A value added by this edit takes over the name, doc string and metadata of the one it replaces. Graph
        outputs always keep their names: through an Identity where ``new`` is an input or another output.
        Raises InvalidModel when the types contradict each other.
        """
        before, after, readers = self.graph.type(old), self.graph.type(new), self.graph.readers(old)
        if not before.admits(after):
            name = self.graph.value_name(old)
            raise InvalidModel(name, found=f"a replacement of type {after}", expected=f"type {before}")
        for use in readers:
            if use.node != new.node:
                self.graph.connect(use, new)
                self.touched[use.node] = None
        if self.graph.is_output(old):
            self._hand_over_output(old, new)
        elif new in self._fresh:
            self._hand_over_name(old, new)
        self.touched[new.node] = None
        self.touched[old.node] = None
        if _says_more(self.graph.type(new), before):
            self._sharpen({use.node for use in readers})

    def rewire(self, use: Use, value: Value | None) -> None:
        """Make one operand slot read ``value``, or nothing."""
        previous = self.graph.operand(use.node, use.slot)
        if previous is not None:
            self.touched[previous.node] = None
        self.graph.connect(use, value)
        self.touched[use.node] = None

    def set_bodies(self, node: int, bodies: Mapping[str, Graph], *, captured: Sequence[Value]) -> None:
        """Give control flow other bodies, that capture ``captured``, body by body."""
        op = self.graph.op(node)
        assert isinstance(op, Opaque)
        self.graph.set_op(node, replace(op, subgraphs=MappingProxyType(dict(bodies))))
        before = self.graph.operands(node)[op.arity :]
        for place, (old, new) in enumerate(zip_longest(before, captured)):
            if old != new:
                self.rewire(Use(node, op.arity + place), new)
        self.touched[node] = None
        self._sharpen({node})

    def erase(self, node: int) -> None:
        """Remove a node. Raises InvalidModel while a result of it is read or returned."""
        if not self.graph.is_unread(node):
            raise InvalidModel(
                self.graph.describe(node), found="a result that is read", expected="an unread node"
            )
        for operand in self.graph.operands(node):
            if operand is not None:
                self.touched[operand.node] = None
        if self._on_erase is not None:
            self._on_erase(node)
        if self.graph.model.carried:
            self._release(self.graph.op(node))
        self.graph.remove(node)
        self.touched.pop(node, None)

    def sweep(self) -> None:
        """Erase what the edit left unread, upwards from the touched nodes; graph inputs stay."""
        graph = self.graph
        stack = [node for node in self.touched if node in graph]
        while stack:
            node = stack.pop()
            if node not in graph or not graph.is_unread(node) or isinstance(graph.op(node), Input):
                continue
            stack.extend([operand.node for operand in graph.operands(node) if operand is not None])
            self.erase(node)

    def require_opset(self, version: int) -> None:
        """State that what was added needs this opset or a newer one."""
        if self.graph.model.opset < version:
            self.graph.header.model = self.graph.model.requiring({"": version})

    def _release(self, op: Op) -> None:
        """Note that a call is gone, and those in its bodies: the function may be one of the model's own."""
        if not isinstance(op, Opaque):
            return
        model = self.graph.model
        if op.function not in model.released:
            self.graph.header.model = replace(model, released=model.released | {op.function})
        for body in op.subgraphs.values():
            for node in body.compute_nodes():
                self._release(body.op(node))

    # ---- names ----

    def _adopted(self, op: Op) -> Op:
        """Control flow from elsewhere, with bodies that hide no name here."""
        if not isinstance(op, Opaque) or not op.subgraphs:
            return op
        bodies = {name: body.copy() for name, body in op.subgraphs.items()}
        for body in bodies.values():
            for node in body.nodes():
                body.set_op(node, self._adopted(body.op(node)))
                self._rename(body, body.results(node))
            self.graph.reserve(body.names())
        return replace(op, subgraphs=MappingProxyType(bodies))

    def _rename(self, body: Graph, values: Sequence[Value]) -> None:
        """Let no value of a body be called as something here is."""
        for value in values:
            info = body.value_info(value)
            if info.name and self.graph.has_name(info.name):
                body.set_value_info(value, replace(info, name=self.graph.fresh_name(info.name)))

    def _sharpen(self, nodes: set[int]) -> None:
        """Infer the results of nodes whose operands are better known now, and so on downstream.

        Raises CannotRun at a node that is illegal on what is known now.
        """
        while nodes:
            node = nodes.pop()
            operands = self.graph.operands(node)
            types = tuple(None if value is None else self.graph.type(value) for value in operands)
            try:
                inferred = self.graph.op(node).infer_all(types)
            except InvalidModel as error:
                at = self.graph.describe(node)
                raise CannotRun(at, found=error.found, expected=error.expected) from error
            for value, kind in zip(self.graph.results(node), inferred, strict=False):
                info = self.graph.value_info(value)
                sharper = info.type.refined(kind)
                if _says_more(sharper, info.type) and not self.graph.is_output(value):
                    self.graph.set_value_info(value, replace(info, type=sharper))
                    self.touched[node] = None
                    nodes.update(use.node for use in self.graph.readers(value))

    def _stem(self, op: Op) -> str:
        if self.near is not None and self.near in self.graph:
            first = Value(self.near, 0)
            name = self.graph.value_name(first) if self.graph.makes(first) else ""
            if name:
                return f"{name}_{op.label.lower()}"
        return op.label.lower()

    def _node_info(self, like: int | None, fused: int | None) -> NodeInfo:
        place = self.near if like is None else like
        if place is None or place not in self.graph:
            return NodeInfo(order=(self.graph.next_order,))
        old = self.graph.info(place)
        order = (old.order[0], self.graph.next_order)
        info = NodeInfo(order=order) if like is None else replace(_without_joints(old), order=order)
        return info if fused is None else replace(info, **self._fusion(fused, like=like))

    def _list_constants_before(self, node: int) -> None:
        """Move this edit's own constants to the place of the first node that reads them."""
        order = self.graph.info(node).order
        for operand in self.graph.operands(node):
            if operand in self._fresh and isinstance(self.graph.producer(operand), Constant):
                info = self.graph.info(operand.node)
                if info.order > order:
                    self.graph.set_info(operand.node, replace(info, order=(order[0], operand.node)))

    def _fusion(self, fused: int, *, like: int | None) -> dict[str, Any]:
        given = [value for value in self.graph.operands(fused) if value is not None]
        first = next((value for value in given if value.node == like), given[0] if given else None)
        between = None if first is None else self.graph.value_info(first)
        return {"between": between, "fused": self.graph.info(fused)}

    def _hand_over_name(self, old: Value, new: Value) -> None:
        info = self.graph.value_info(old)
        self.former.setdefault(old.node, info.name)
        sharper = self.graph.type(new).refined(info.type)  # sizes spelled as they are when read again
        self.graph.set_value_info(old, replace(info, name=""))
        self.graph.set_value_info(new, replace(info, type=sharper))
        self._fresh.discard(new)

    def _hand_over_output(self, old: Value, new: Value) -> None:
        if self.graph.is_output(new) or isinstance(self.graph.producer(new), Input):
            new = self.add(Identity(), new)
        self.graph.outputs = tuple(new if value == old else value for value in self.graph.outputs)
        info = self.graph.value_info(old)
        self.former.setdefault(old.node, info.name)
        self.former.setdefault(new.node, self.graph.value_name(new))
        self.graph.set_value_info(old, replace(info, name=""))
        self.graph.set_value_info(new, info)
        self._fresh.discard(new)


def _without_joints(info: NodeInfo) -> NodeInfo:
    """What stood before or within an activation fused into one operation need not stand there in another."""
    fused = None if info.fused is None else _without_joints(info.fused)
    return replace(info, between=None, fused=fused)


def _within(caller: NodeInfo, inner: NodeInfo) -> NodeInfo:
    """What a node of a body is called where it stands for a part of another."""
    name = f"{caller.name}/{inner.name}" if caller.name and inner.name else inner.name
    return replace(inner, name=name, metadata={**caller.metadata, **inner.metadata})


def _says_more(kind: TensorType, than: TensorType) -> bool:
    return (kind, kind.known) != (than, than.known)
