"""Arithmetic on sizes of which some have no number: what a network computes from the shapes of its values.

A size is a number, a symbol, a whole multiple of one as types write it (``H*2``), or None: not known. No size
is negative, which is what a comparison with −1 asks.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from types import MappingProxyType

from convgraph.ir.ops import Add, Ceil, Div, Equal, Floor, Mul, Op, Sub, Where
from convgraph.ir.tensor import affine, times

Size = int | float | str | None


def calculated(op: Op, sizes: Sequence[Size], *, whole: bool) -> Size:
    """One element of what an operation makes of such elements; ``whole`` says that it is an integer."""
    rule = _RULES.get(type(op))
    if rule is None or (None in sizes and not isinstance(op, Where)):
        return None
    try:
        return rule(*sizes, whole=whole)
    except (ArithmeticError, ValueError):  # division by zero, the floor of infinity, a fraction of NaN
        return None


def multiple(size: Size, of: Size) -> int | None:
    """How many times as large as another a size is, where that is a whole number whatever they are."""
    if size is None or of is None:
        return None
    (a, first), (b, second) = _factored(size), _factored(of)
    if size == of:
        return 1
    return int(a / b) if first == second and b and a and (a / b).denominator == 1 else None


def _factored(size: float | str) -> tuple[Fraction, str]:
    """A number without a symbol, or a multiple of a symbol."""
    if not isinstance(size, str):
        return Fraction(size), ""
    base, star, factor = size.rpartition("*")
    inner = base[1:-1] if base.startswith("(") and base.endswith(")") else base
    is_one = _is_closed(inner) if inner != base else base.isidentifier()
    if not star or not factor.isdecimal() or not is_one:
        return Fraction(1), size
    times_inner, symbol = _factored(inner)
    return times_inner * int(factor), symbol


def _is_closed(text: str) -> bool:
    """Whether no parenthesis closes that does not open in it."""
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0


def _written(factor: Fraction, symbol: str, *, whole: bool) -> Size:
    """A multiple of a symbol as types write it; None where it is no whole one."""
    if not symbol or factor == 0:
        return int(factor) if whole else float(factor)
    return times(symbol, int(factor)) if factor > 0 and factor.denominator == 1 else None


def _product(one: float | str, other: float | str, *, whole: bool) -> Size:
    (a, first), (b, second) = _factored(one), _factored(other)
    return None if first and second else _written(a * b, first or second, whole=whole)


def _quotient(one: float | str, other: float | str, *, whole: bool) -> Size:
    (a, first), (b, second) = _factored(one), _factored(other)
    if first == second:  # ONNX divides integers towards zero
        return int(a / b) if whole else float(a / b)
    if second:
        return None
    exact = _written(a / b, first, whole=whole)
    is_floored = exact is None and whole and b > 1 and isinstance(one, str)
    return affine(one, add=0, divide=int(b)) if is_floored and isinstance(one, str) else exact


def _together(one: float | str, other: float | str, *, whole: bool, sign: int) -> Size:
    (a, first), (b, second) = _factored(one), _factored(other)
    if first == second or b == 0:
        return _written(a + sign * b, first, whole=whole)
    return _written(sign * b, second, whole=whole) if a == 0 else None


def _equality(one: float | str, other: float | str, *, whole: bool) -> Size:
    del whole
    if _factored(one) == _factored(other):
        return True
    if isinstance(one, str) or isinstance(other, str):
        return False if any(not isinstance(size, str) and size < 0 for size in (one, other)) else None
    return False


def _choice(condition: Size, then: Size, otherwise: Size, *, whole: bool) -> Size:
    del whole
    if condition is None:
        return then if then == otherwise else None
    return then if condition else otherwise


def _rounded(size: float | str, *, whole: bool, to: Callable[[float], int]) -> Size:
    del whole
    return size if isinstance(size, str) else float(to(size))


_RULES: Mapping[type[Op], Callable[..., Size]] = MappingProxyType(
    {
        Add: partial(_together, sign=1),
        Ceil: partial(_rounded, to=math.ceil),
        Div: _quotient,
        Equal: _equality,
        Floor: partial(_rounded, to=math.floor),
        Mul: _product,
        Sub: partial(_together, sign=-1),
        Where: _choice,
    }
)
