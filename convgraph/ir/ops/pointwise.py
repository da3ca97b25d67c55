"""Pointwise arithmetic: unary functions and broadcasting binary and variadic ones."""

from dataclasses import dataclass

from convgraph.ir.ops.base import Op, require
from convgraph.ir.tensor import UNKNOWN, DataType, TensorType, broadcast


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Op):
    """A function of each element: same shape, same element type."""

    def infer(self, x: TensorType) -> TensorType:
        """The type of x."""
        return x.with_shape(x.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Op):
    """A function of two operands that broadcast as in numpy."""

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The broadcast shape, with the operands' element type."""
        return TensorType(_same_dtype(self.label, a, b), shape=broadcast(a.shape, b.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Binary):
    """A truth value from two operands that broadcast as in numpy."""

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The broadcast shape, boolean."""
        _same_dtype(self.label, a, b)
        return TensorType(DataType.BOOL, shape=broadcast(a.shape, b.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Variadic(Op):
    """A function of any number of operands, at least one, that broadcast as in numpy."""

    def infer(self, first: TensorType, *operands: TensorType) -> TensorType:
        """The broadcast shape, with the operands' element type."""
        require(None not in operands, self.label, found="an operand left out", expected="each of them")
        shapes = [first.shape, *(operand.shape for operand in operands)]
        return TensorType(_same_dtype(self.label, first, *operands), shape=broadcast(*shapes))


def _same_dtype(op: str, *operands: TensorType) -> DataType:
    kinds = {operand.dtype for operand in operands} - {UNKNOWN.dtype}
    require(len(kinds) <= 1, op, found=" and ".join(str(o) for o in operands), expected="one element type")
    return kinds.pop() if kinds else UNKNOWN.dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Binary):
    """a + b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sub(Binary):
    """a - b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(Binary):
    """a * b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Div(Binary):
    """a / b; integers truncate towards zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pow(Binary):
    """a to the power b; the exponent may have an element type of its own."""

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """The broadcast shape, with the element type of a."""
        return TensorType(a.dtype, shape=broadcast(a.shape, b.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Equal(Comparison):
    """a == b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greater(Comparison):
    """a > b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GreaterOrEqual(Comparison):
    """a >= b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Less(Comparison):
    """a < b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LessOrEqual(Comparison):
    """a <= b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class And(Binary):
    """a and b, booleans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Or(Binary):
    """a or b, booleans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Xor(Binary):
    """Exactly one of a and b, booleans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Max(Variadic):
    """The largest operand, elementwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Min(Variadic):
    """The smallest operand, elementwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum(Variadic):
    """The sum of the operands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean(Variadic):
    """The mean of the operands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where(Op):
    """A where the condition holds, b elsewhere; all three broadcast."""

    def infer(self, condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
        """The broadcast shape, with the element type of a and b."""
        return TensorType(_same_dtype("Where", a, b), shape=broadcast(condition.shape, a.shape, b.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Abs(Unary):
    """|x|."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neg(Unary):
    """-x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign(Unary):
    """-1, 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reciprocal(Unary):
    """1 / x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sqrt(Unary):
    """Square root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exp(Unary):
    """e to the power x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(Unary):
    """Natural logarithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erf(Unary):
    """The error function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sin(Unary):
    """Sine of x in radians."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cos(Unary):
    """Cosine of x in radians."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor(Unary):
    """The largest integer not above x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceil(Unary):
    """The smallest integer not below x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round(Unary):
    """The nearest integer, halves to even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Unary):
    """The opposite truth value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Unary):
    """X itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast(Op):
    """X in another element type."""

    to: DataType
    saturate: int = 1

    def infer(self, x: TensorType) -> TensorType:
        """The shape of x with the new element type."""
        keeps_value = (
            x.known is not None and self.to in (DataType.INT64, DataType.INT32) and x.ints == x.known
        )
        return TensorType(self.to, shape=x.shape, known=x.ints if keeps_value else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Op):
    """X with elements zeroed at random in training mode, else x itself; the mask is an optional result."""

    seed: int | None = None

    def infer(
        self, x: TensorType, ratio: TensorType | None = None, training_mode: TensorType | None = None
    ) -> tuple[TensorType, TensorType]:
        """The type of x, and of its mask."""
        return x.with_shape(x.shape), TensorType(DataType.BOOL, shape=x.shape)
