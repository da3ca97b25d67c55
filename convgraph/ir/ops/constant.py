"""Where values come from without being computed: constants and the graph's own inputs."""

from dataclasses import dataclass

from convgraph.ir.ops.base import Op
from convgraph.ir.tensor import Tensor, TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Op):
    """A tensor that never changes (an ONNX initializer or Constant node)."""

    tensor: Tensor

    def infer(self) -> TensorType:
        """The tensor's type, with its elements when they are few."""
        return self.tensor.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Op):
    """A value the caller supplies; with ``default`` an initializer that the caller may override.

    ``constant`` is the tensor that a body's capture is known to be, as long as its place in the graph around
    it is known. The type belongs to the graph's own table, so ``infer`` has nothing to add.
    """

    default: Tensor | None = None
    constant: Tensor | None = None

    def infer(self) -> tuple[TensorType, ...]:
        """Nothing: the graph holds an input's declared type."""
        return ()
