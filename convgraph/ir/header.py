"""What a model file says about itself, outside its operations: of the model as a whole, and of each graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


def no_strings() -> Mapping[str, str]:
    """Metadata of what has none."""
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model file says outside its graph; ``carried``: other ``ModelProto`` fields, serialised."""

    ir_version: int = 10
    opsets: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"": 21}))
    producer: tuple[str, str] = ("", "")
    domain: str = ""
    version: int = 0
    doc: str = ""
    metadata: Mapping[str, str] = field(default_factory=no_strings)
    carried: bytes = b""

    @property
    def opset(self) -> int:
        """The version of ONNX's own operator set."""
        return self.opsets.get("", 1)


@dataclass(slots=True, kw_only=True)
class Header:
    """The graph's own name and notes; ``carried`` holds further ``GraphProto`` fields, serialised."""

    name: str = "graph"
    doc: str = ""
    metadata: Mapping[str, str] = field(default_factory=no_strings)
    carried: bytes = b""
    model: ModelInfo = field(default_factory=ModelInfo)
