"""Operations that convgraph has no class for: carried verbatim."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from convgraph.ir.ops.base import Op
from convgraph.ir.tensor import TensorType

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
        """Nothing: only ONNX's own shape inference knows, and the importer records what it says."""
        return ()

    @property
    def label(self) -> str:
        """The ONNX operator name, with the domain in front when it is not ONNX's own."""
        return f"{self.domain}::{self.op_type}" if self.domain else self.op_type
