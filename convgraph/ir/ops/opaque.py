"""Operations that convgraph has no class for: carried verbatim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from convgraph.ir.ops.base import Op
from convgraph.ir.tensor import UNKNOWN, TensorType

if TYPE_CHECKING:
    from convgraph.ir.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opaque(Op):
    """Any other operator, ONNX's or a custom domain's.

    ``encoded`` holds each plain attribute as a serialised ``AttributeProto``, by name. ``subgraphs`` holds
    the bodies of control flow, by attribute name; what a body captures from outside follows the operator's
    own ``arity`` operands, body by body, in the order of the body's ``captures``.
    """

    domain: str = ""
    op_type: str
    overload: str = ""
    encoded: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    subgraphs: Mapping[str, "Graph"] = field(default_factory=lambda: MappingProxyType({}))
    arity: int

    def __eq__(self, other: object) -> bool:
        """Whether it is this very one: what two bodies have in common is not looked for."""
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def infer(self, *operands: TensorType | None) -> tuple[TensorType, ...]:
        """What the bodies of an If or a Loop return.

        Nothing for others: only ONNX's own shape inference knows, and the importer records what it says.
        """
        returned = [[body.type(value) for value in body.outputs] for body in self.subgraphs.values()]
        if self.label == "If":
            return tuple(map(_either, zip(*returned, strict=False)))
        if self.label != "Loop" or not returned:
            return ()
        states, types = self.arity - 2, returned[0][1:]
        return (*(t.with_shape(None) for t in types[:states]), *map(_stacked, types[states:]))

    @property
    def function(self) -> tuple[str, str, str]:
        """The function that it calls, if the model has such a one: domain, name, overload."""
        return self.domain, self.op_type, self.overload

    @property
    def label(self) -> str:
        """The ONNX operator name, with the domain in front when it is not ONNX's own."""
        return f"{self.domain}::{self.op_type}" if self.domain else self.op_type


def _either(types: Sequence[TensorType]) -> TensorType:
    """What is true of a value that has one of these types."""
    first, *others = types
    if any(other.dtype is not first.dtype for other in others):
        return UNKNOWN
    shapes = [type_.shape for type_ in types]
    if any(shape is None or len(shape) != len(shapes[0] or ()) for shape in shapes):
        return first.with_shape(None)
    sizes = zip(*(shape or () for shape in shapes), strict=True)
    return first.with_shape(tuple(size[0] if len({*size}) == 1 else None for size in sizes))


def _stacked(type_: TensorType) -> TensorType:
    """What a Loop makes of what its body returns each time."""
    return type_.with_shape(None if type_.shape is None else (None, *type_.shape))
