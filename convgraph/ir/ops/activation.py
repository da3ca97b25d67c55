"""Activations: pointwise functions that a runtime can run inside the convolution before them.

Each maps its first operand x elementwise, keeping shape and element type; further operands are parameters. A
convolution carries one of these as its ``activation`` after fusion, the parameter operands following its own.
"""

from dataclasses import dataclass
from typing import Any

from convgraph.ir.ops.base import Op, require
from convgraph.ir.tensor import TensorType


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(Op):
    """A pointwise function of its first operand, x: same shape, same element type."""

    def infer(self, *operands: Any) -> TensorType:
        """The type of x."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainActivation(Activation):
    """An activation without parameter operands."""

    def infer(self, x: TensorType) -> TensorType:
        """The type of x."""
        return x.with_shape(x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relu(PlainActivation):
    """max(x, 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakyRelu(PlainActivation):
    """X where x >= 0, alpha * x elsewhere."""

    alpha: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class PRelu(Activation):
    """X where x >= 0, slope * x elsewhere; slope broadcasts to x in one direction."""

    def infer(self, x: TensorType, slope: TensorType) -> TensorType:
        """The type of x."""
        wide = None not in (x.rank, slope.rank) and (slope.rank or 0) > (x.rank or 0)
        require(not wide, "PRelu", found=f"slope {slope} for x {x}", expected="a slope that broadcasts to x")
        return x.with_shape(x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elu(PlainActivation):
    """X where x >= 0, alpha * (exp(x) - 1) elsewhere."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selu(PlainActivation):
    """gamma * (x where x > 0, alpha * (exp(x) - 1) elsewhere)."""

    alpha: float = 1.67326319217681884765625
    gamma: float = 1.05070102214813232421875


@dataclass(frozen=True, slots=True, kw_only=True)
class Celu(PlainActivation):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdedRelu(PlainActivation):
    """X where x > alpha, 0 elsewhere."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Activation):
    """min(max(x, low), high); an omitted bound does not bind."""

    def infer(
        self, x: TensorType, low: TensorType | None = None, high: TensorType | None = None
    ) -> TensorType:
        """The type of x."""
        for bound in (low, high):
            scalar = bound is None or bound.rank in (None, 0) or bound.size == 1
            require(scalar, "Clip", found=f"a bound of type {bound}", expected="a scalar")
        return x.with_shape(x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid(PlainActivation):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSigmoid(PlainActivation):
    """max(0, min(1, alpha * x + beta))."""

    alpha: float = 0.2
    beta: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HardSwish(PlainActivation):
    """X * max(0, min(1, x / 6 + 1 / 2))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swish(PlainActivation):
    """X * sigmoid(alpha * x); alpha 1 is SiLU."""

    alpha: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tanh(PlainActivation):
    """Hyperbolic tangent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Softplus(PlainActivation):
    """log(1 + exp(x))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Softsign(PlainActivation):
    """X / (1 + |x|)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mish(PlainActivation):
    """X * tanh(log(1 + exp(x)))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gelu(PlainActivation):
    """X * Φ(x), Φ the normal distribution function; approximate "tanh" replaces Φ by its tanh formula."""

    approximate: str = "none"

    def __post_init__(self) -> None:
        """Refuse an unknown approximation."""
        known = self.approximate in ("none", "tanh")
        require(known, "Gelu", found=f"approximate={self.approximate!r}", expected="'none' or 'tanh'")
