"""What a model file says about itself, outside its operations: of the model as a whole, and of each graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

Function = tuple[str, str, str]
"""A function that a model brings along, as calls of it say: domain, name, overload."""

_NO_STRINGS: Mapping[str, str] = MappingProxyType({})


def no_strings() -> Mapping[str, str]:
    """Metadata of what has none: the same for all."""
    return _NO_STRINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model file says outside its graph; ``carried``: other ``ModelProto`` fields, serialised.

    ``released`` are operators of which a node has been erased: functions of the model's own among them are
    written only where a call is left.
    """

    ir_version: int = 10
    opsets: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"": 21}))
    producer: tuple[str, str] = ("", "")
    domain: str = ""
    version: int = 0
    doc: str = ""
    metadata: Mapping[str, str] = field(default_factory=no_strings)
    carried: bytes = b""
    released: frozenset[Function] = frozenset()

    @property
    def opset(self) -> int:
        """The version of ONNX's own operator set."""
        return self.opsets.get("", 1)

    def requiring(self, opsets: Mapping[str, int]) -> "ModelInfo":
        """The same with these versions of operator sets, or newer ones."""
        newer = {domain: max(version, self.opsets.get(domain, 0)) for domain, version in opsets.items()}
        return replace(self, opsets=MappingProxyType({**self.opsets, **newer}))

    def joined(self, body: "ModelInfo") -> "ModelInfo":
        """What holds once a body, rewritten on its own, is a part of the model again."""
        return replace(self.requiring(body.opsets), released=self.released | body.released)


@dataclass(slots=True, kw_only=True)
class Header:
    """The graph's own name and notes; ``carried`` holds further ``GraphProto`` fields, serialised."""

    name: str = "graph"
    doc: str = ""
    metadata: Mapping[str, str] = field(default_factory=no_strings)
    carried: bytes = b""
    model: ModelInfo = field(default_factory=ModelInfo)
