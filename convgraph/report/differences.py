"""What changed between two graphs, node by node.

Nodes correspond by name, not by place: rewrites keep the names of the values they leave, so a node before and
a node after are the same when they make a value of the same name, or when they carry the same node name.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from convgraph.analysis.census import node_label, node_name
from convgraph.ir.graph import Graph, Value
from convgraph.ir.ops import Constant, Input, Op, Opaque
from convgraph.ir.ops.base import slots_of
from convgraph.ir.tensor import Tensor

_GRAPH = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One node that is there only before, only after, or in both but not alike.

    ``names`` are all the names the node and its results go by, before and after. ``details`` say what
    changed, one thing each. The interface of the whole model is reported under the label ``model``.
    """

    kind: Literal["removed", "added", "changed"]
    name: str
    label: str
    names: frozenset[str] = frozenset()
    details: tuple[str, ...] = ()


def diff(before: Graph, after: Graph) -> list[Difference]:
    """List what changed: the interface, then removed and changed nodes in their old order, then added ones.

    Constants are compared by their contents.
    """
    partners = _partners(before, after)
    found = list(_interface(before, after))
    for node in before.compute_nodes():
        if node not in partners:
            found.append(_one_sided(before, node, kind="removed"))
        elif details := tuple(_details(before, node, after, partners[node])):
            found.append(_changed(before, node, after, partners[node], details))
    kept = set(partners.values())
    found += [_one_sided(after, node, kind="added") for node in after.compute_nodes() if node not in kept]
    return found


# ---- which node is which ----


def _partners(before: Graph, after: Graph) -> dict[int, int]:
    """The node after for each node before that has one.

    The same operation under the same result name is the best evidence, then under the same node name; another
    operation that makes the value of that name comes last (a convolution that took over what follows it).
    """
    partners: dict[int, int] = {}
    for keys, same_label in ((_result_names, True), (_own_name, True), (_result_names, False)):
        taken = set(partners.values())
        homes = _unambiguous(after, [node for node in after.compute_nodes() if node not in taken], keys)
        for node in before.compute_nodes():
            partner = next((homes[key] for key in keys(before, node) if key in homes), None)
            if node in partners or partner is None or partner in taken:
                continue
            if not same_label or before.op(node).label == after.op(partner).label:
                partners[node] = partner
                taken.add(partner)
    return partners


def _unambiguous(
    graph: Graph, nodes: list[int], keys: Callable[[Graph, int], tuple[str, ...]]
) -> dict[str, int]:
    """The nodes by name, without names that several carry (ONNX lets node names repeat)."""
    named = [(key, node) for node in nodes for key in keys(graph, node)]
    counts = Counter(key for key, _ in named)
    return {key: node for key, node in named if counts[key] == 1}


def _result_names(graph: Graph, node: int) -> tuple[str, ...]:
    return tuple(filter(None, (graph.value_name(value) for value in graph.results(node))))


def _own_name(graph: Graph, node: int) -> tuple[str, ...]:
    return tuple(filter(None, (graph.info(node).name,)))


# ---- what is different about it ----


def _one_sided(graph: Graph, node: int, *, kind: Literal["removed", "added"]) -> Difference:
    names = frozenset((*_own_name(graph, node), *_result_names(graph, node)))
    return Difference(kind=kind, name=node_name(graph, node), label=node_label(graph, node), names=names)


def _changed(before: Graph, old: int, after: Graph, new: int, details: tuple[str, ...]) -> Difference:
    sides = _one_sided(before, old, kind="removed"), _one_sided(after, new, kind="added")
    return Difference(
        kind="changed",
        name=sides[0].name,
        label=sides[1].label,
        names=sides[0].names | sides[1].names,
        details=details,
    )


def _details(before: Graph, old: int, after: Graph, new: int) -> Iterator[str]:
    old_op, new_op = before.op(old), after.op(new)
    if old_op.label != new_op.label:
        yield f"operation: {old_op.label} -> {new_op.label}"
    else:
        yield from _attributes(old_op, new_op)
    yield from _operands(before, old, after, new)
    old_names, new_names = _result_names(before, old), _result_names(after, new)
    if old_names != new_names:
        yield f"results: {', '.join(old_names)} -> {', '.join(new_names)}"


def _attributes(old: Op, new: Op) -> Iterator[str]:
    if isinstance(old, Opaque) and isinstance(new, Opaque):
        yield from _opaque_attributes(old, new)
        return
    was, now = old.attributes(), new.attributes()
    for name, value in was.items():
        if value != now[name]:
            yield f"{name}: {_shown(value)} -> {_shown(now[name])}"


def _opaque_attributes(old: Opaque, new: Opaque) -> Iterator[str]:
    for name in sorted(old.encoded.keys() | new.encoded.keys()):
        if old.encoded.get(name) != new.encoded.get(name):
            yield f"{name}: another value"
    for name in sorted(old.subgraphs.keys() & new.subgraphs.keys()):
        count = len(diff(old.subgraphs[name], new.subgraphs[name]))
        if count:
            yield f"{name}: {count} differences inside"


def _shown(attribute: object) -> str:
    return attribute.label if isinstance(attribute, Op) else str(attribute)


def _operands(before: Graph, old: int, after: Graph, new: int) -> Iterator[str]:
    was, now = before.operands(old), after.operands(new)
    names = slots_of(after.op(new)).names
    for slot in range(max(len(was), len(now))):
        left, right = _Operand(before, was, slot), _Operand(after, now, slot)
        if not left.is_same_as(right):
            role = names[slot] if slot < len(names) else f"operand {slot}"
            yield f"{role}: {left.described(right)} -> {right.described(left)}"


class _Operand:
    """What stands in one operand slot: nothing, a constant's contents, or a value by its name."""

    def __init__(self, graph: Graph, operands: tuple[Value | None, ...], slot: int) -> None:
        value = operands[slot] if slot < len(operands) else None
        op = None if value is None else graph.producer(value)
        self.tensor: Tensor | None = op.tensor if isinstance(op, Constant) else None
        self.name = "none" if value is None else graph.value_name(value)

    def is_same_as(self, other: "_Operand") -> bool:
        if self.tensor is None or other.tensor is None:
            return self.tensor is other.tensor and self.name == other.name
        return _same(self.tensor, other.tensor)

    def described(self, other: "_Operand") -> str:
        """The operand in words; the digest only where nothing else tells two constants apart."""
        if self.tensor is None:
            return self.name
        type_ = f"{self.tensor.dtype.label}[{', '.join(map(str, self.tensor.shape))}]"
        alike = other.tensor is not None and (self.tensor.dtype, self.tensor.shape) == (
            other.tensor.dtype,
            other.tensor.shape,
        )
        return f"{type_} {self.tensor.digest()[:8]}" if alike else f"constant {type_}"


def _same(left: Tensor, right: Tensor) -> bool:
    if left is right:
        return True
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    return left.digest() == right.digest()


# ---- the interface ----


def _interface(before: Graph, after: Graph) -> Iterator[Difference]:
    details = []
    if before.model.opset != after.model.opset:
        details.append(f"opset: {before.model.opset} -> {after.model.opset}")
    for role, old, new in (
        ("inputs", _values(before, before.inputs), _values(after, after.inputs)),
        ("outputs", _values(before, before.outputs), _values(after, after.outputs)),
    ):
        if old != new:
            details.append(f"{role}: {', '.join(old)} -> {', '.join(new)}")
    if details:
        yield Difference(kind="changed", name=after.name, label=_GRAPH, details=tuple(details))


def _values(graph: Graph, values: tuple[Value, ...]) -> list[str]:
    return [f"{graph.value_name(value)} {graph.type(value)}{_default(graph, value)}" for value in values]


def _default(graph: Graph, value: Value) -> str:
    op = graph.producer(value)
    default = op.default if isinstance(op, Input) else None
    return "" if default is None else f" default {default.digest()[:8]}"
